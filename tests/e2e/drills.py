"""What the drills share: a service to break, live settings for their time, and a person at an incident's page."""

import json
import time
import urllib.error
import uuid
from typing import Any

from playwright.sync_api import Page, expect

from tests.faults.conftest import PATIENCE_S, Service
from tests.live import Live

OPERATOR, SAFETY = "operator@demo.backlot.local", "safety@demo.backlot.local"
SECOND = "billing-admin-2@demo.backlot.local"  # gets the role of trust & safety for the time of a drill
LOADED_MS = 30_000  # two cores that make clips answer slowly
SETTING = """
INSERT INTO {table} ({column}, field, value, author_kind, author, reason, created_at, removed_by)
VALUES (%s, %s, %s::jsonb, 'operator', 'drill', 'a drill', clock_timestamp(), '') RETURNING id
"""
BASELINE = """
UPDATE generation_laneoverride SET removed_at = clock_timestamp(), removed_by = 'drill'
 WHERE lane_id = %s AND field = 'weight' AND removed_at IS NULL
"""
FIRED = """
SELECT i.id FROM console_incident i JOIN console_incidentfiring l ON l.incident_id = i.id
  JOIN console_alarmfiring f ON f.id = l.firing_id
 WHERE i.alarm_id = %s AND i.state <> 'resolved' AND f.opened_at >= to_timestamp(%s)
"""
FIRED_AT = """
SELECT extract(epoch FROM max(f.opened_at)) FROM console_incidentfiring l
  JOIN console_alarmfiring f ON f.id = l.firing_id WHERE l.incident_id = %s
"""
OPEN = """
SELECT 1 FROM generation_job WHERE id = %s AND state IN ('screening', 'queued', 'running', 'finishing', 'held')
"""
REMOVED = "UPDATE {table} SET removed_at = clock_timestamp(), removed_by = 'drill' WHERE id = %s"


class Drill:
    """Live settings and clips that end with the drill, and what it asks of the database.

    What a drill leaves open, the next one's broken worker would make: so nothing is.
    """

    def __init__(self, live: Live, organization: str) -> None:
        self.live, self.service = live, Service(live, organization)
        self._made: list[tuple[str, int]] = []
        self._services = [self.service]
        self._clips: list[tuple[Service, dict]] = []

    def __enter__(self) -> "Drill":
        return self

    def __exit__(self, *_: object) -> None:
        for table, override in reversed(self._made):
            self.service.sql(REMOVED.format(table=table), override)
        left = [(service, clip) for service, clip in self._clips if self._open(clip)]
        for service, clip in left:
            _cancel(service, clip)
        for _, clip in left:
            self.until(lambda clip=clip: not self._open(clip), "what was left over is cancelled")
        for service in self._services:
            service.close()

    def _open(self, clip: dict) -> bool:
        return self.service.row(OPEN, self.service.job_id(clip["id"])) is not None

    def clip(self, service: Service | None = None, **fields: Any) -> dict:
        """A clip that was asked for, again and again where the machine is too busy to check its prompt.

        Its seed is its own, so that none is served from an earlier one.
        """
        service, asked = service or self.service, uuid.uuid4()
        made = service.submit_insisting(f"drill-{asked}", seed=asked.int % 2**31, **fields)
        self._clips.append((service, made))
        return made

    def of(self, organization: str) -> Service:
        """The same Backlot, spoken to by another organization."""
        service = Service(self.live, organization)
        self._services.append(service)
        return service

    def alarm(self, name: str, **settings: float) -> None:
        """An alarm's live settings, such as `for_s`; the newest counts."""
        for field, value in settings.items():
            self._set("console_alarmoverride", "alarm_id", name, field, value)

    def no_auto_raise(self, lane: str) -> None:
        """The weight is the operator's alone meanwhile; what raised it before, on a busy machine, ends."""
        self._set("generation_raiseruleoverride", "lane_id", lane, "enabled", False)
        self.service.sql(BASELINE, lane)

    def _set(self, table: str, column: str, row: str, field: str, value: Any) -> None:
        made = self.service.row(SETTING.format(table=table, column=column), row, field, json.dumps(value))
        self._made.append((table, made[0]))

    def incident(self, alarm: str, since: float) -> int:
        """The open incident of an alarm that fired since a moment of the database's clock; it may have come back."""
        return self.service.until(FIRED, alarm, since)[0]

    def fired_at(self, incident: int) -> float:
        """When its newest alarm fired."""
        return float(self.service.row(FIRED_AT, incident)[0])

    def now(self) -> float:
        return float(self.service.row("SELECT extract(epoch FROM clock_timestamp())")[0])

    def refused(self, prompt: str) -> dict | None:
        """The error that a prompt gets; None where it is admitted."""
        try:
            self.service.submit(prompt=prompt)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)["error"]
        return None

    def until(self, true, what: str, seconds: float = PATIENCE_S) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"not in time: {what}"
            time.sleep(0.5)


def _cancel(service: Service, clip: dict) -> None:
    """One that is being checked and signed ends by itself, and says so."""
    try:
        service.call("DELETE", f"/v1/videos/{clip['id']}")
    except urllib.error.HTTPError as error:
        with error:
            if error.code not in (404, 409):
                raise


def acknowledge(page: Page) -> None:
    """With its key; the page that comes back hears keys once it is loaded."""
    page.keyboard.press("a")
    expect(page.locator(".incident-standing")).to_contain_text("Acknowledged", timeout=LOADED_MS)
    page.wait_for_load_state("load")


def open_incident(page: Page, number: int) -> None:
    page.goto(f"/operate/incidents/{number}/")
    expect(page.locator("[data-live]")).to_have_text("live", timeout=LOADED_MS)


def look(page: Page, step: str, **fields: str) -> None:
    """Click a step's action: it opens with what it would do. Fields are filled in and looked at where there are any."""
    page.get_by_role("link", name=step).click()
    expect(page.locator("#do")).to_be_visible(timeout=LOADED_MS)
    for name, value in fields.items():
        field = page.locator(f"#do-{name}")
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    if fields:
        page.locator(".other-values button").click()
    expect(page.locator("#do-reason")).to_be_visible(timeout=LOADED_MS)


def apply(page: Page, reason: str, expires: str | None = None) -> None:
    """The second click: with a reason, and an expiry where one is wanted."""
    page.locator("#do-reason").fill(reason)
    if expires is not None:
        page.locator("#do-expires").select_option(expires)
    page.locator("#do button.primary").click()
    expect(page.locator(".messages")).to_be_visible(timeout=LOADED_MS)


def resolve(page: Page, drill: Drill, number: int, words: str) -> None:
    """Resolve an incident whose alarm has cleared, as a person does."""
    drill.until(
        lambda: (
            not drill.service.row(
                "SELECT 1 FROM console_incidentfiring WHERE incident_id = %s AND cleared_at IS NULL", number
            )
        ),
        "the alarm clears",
    )
    open_incident(page, number)
    page.locator("#why").fill(words)
    page.get_by_role("button", name="It is resolved").click()
    expect(page.locator(".incident-standing")).to_contain_text("Resolved", timeout=LOADED_MS)
