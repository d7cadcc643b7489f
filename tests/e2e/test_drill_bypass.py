"""The bypass drill: a clip got out; faces are suspended, the window is pulled, the clip deleted and its URL dead."""

import urllib.error

import pytest
from celery import Celery
from playwright.sync_api import expect

from tests.e2e.drills import LOADED_MS, SAFETY, SECOND, Drill, acknowledge, apply, look, open_incident
from tests.faults.clip_workers import ClipWorkers

pytestmark = [pytest.mark.e2e, pytest.mark.long]

UNSEEING = ("tests.e2e.unseeing_worker",)
# The sample of a day is fixed once it is drawn. The drill takes all of it, not to wait for chance.
WHOLE_SAMPLE = (
    "ALTER TABLE generation_rescanday DISABLE TRIGGER USER",
    "UPDATE generation_rescanday SET share_percent = %s",
    "ALTER TABLE generation_rescanday ENABLE TRIGGER USER",
)
DRAWN = "SELECT 1 FROM generation_rescanday WHERE day = (clock_timestamp() AT TIME ZONE 'UTC')::date"
FOUND = "SELECT 1 FROM accounts_operationalevent WHERE kind = 'rescan.hit' AND at >= to_timestamp(%s)"
FACES = "SELECT value #>> '{}' FROM safety_scanpolicyoverride WHERE field = 'faces' AND removed_at IS NULL"
FACES_BACK = """
UPDATE safety_scanpolicyoverride SET removed_at = clock_timestamp(), removed_by = 'drill'
 WHERE field = 'faces' AND removed_at IS NULL
"""
STATE = "SELECT state FROM generation_job WHERE id = %s"


def test_a_bypass_is_suspended_pulled_and_deleted(live, new_page, sign_in):
    page = new_page(width=1440)
    with Drill(live, "plus-demo") as drill:
        service = drill.service
        workers = ClipWorkers(service)
        try:
            workers.start(UNSEEING)
            clips = [
                service.finished(drill.clip(prompt=f"a red ball rolling over snow, {n}")) for n in (1, 2)
            ]
            assert [clip["status"] for clip in clips] == ["completed", "completed"]
            url = f"/v1/videos/{clips[1]['id']}/content"
            with service.open("GET", url) as answer:
                assert answer.status == 200
        finally:
            workers.stop()
        began = drill.now()
        taken_one_by_one(drill, began)
        number = drill.incident("bypass", began)

        sign_in(page, SAFETY)
        open_incident(page, number)
        expect(page.locator("h1")).to_have_text("Safety bypass")
        acknowledge(page)
        look(page, "Suspend clips with faces")
        apply(page, "a clip got out", "15")
        assert service.row(FACES) == ("block",)
        look(page, "Pull the last 2 h into review")
        apply(page, "what else got out")
        left = [clip for clip in clips if service.row(STATE, service.job_id(clip["id"])) != ("withdrawn",)]
        for clip in left:
            assert dead(service, f"/v1/videos/{clip['id']}/content")
        for clip in left:
            look(page, "Delete confirmed clips", others=clip["id"], disposal="delete")
            apply(page, "confirmed")
            agreed(live, new_page, sign_in)
        for clip in clips:
            assert service.row(STATE, service.job_id(clip["id"])) == ("withdrawn",)
            assert dead(service, f"/v1/videos/{clip['id']}/content")
        open_incident(page, number)
        expect(page.locator(".timeline")).to_contain_text("Safety incident", timeout=LOADED_MS)
        service.sql(FACES_BACK)  # or no clip would be delivered for its quarter of an hour


def taken_one_by_one(drill: Drill, began: float) -> None:
    """The re-scan takes everything until it has found the first. A day's share is drawn by its first round."""
    drill.service.until(DRAWN)
    _share(drill, 100)
    try:
        with Celery(broker=drill.service.redis_url) as sender:
            drill.until(lambda: _looked_again(drill, sender, began), "the re-scan finds one")
    finally:
        _share(drill, 10)


def _looked_again(drill: Drill, sender: Celery, began: float) -> bool:
    """Whether one is found; if not, another round comes at once: it takes two clips, oldest first, once a minute."""
    if drill.service.row(FOUND, began) is not None:
        return True
    sender.send_task("generation.tasks.look_again", queue="clips", ignore_result=True)
    return False


def _share(drill: Drill, percent: int) -> None:
    off, update, on = WHOLE_SAMPLE
    drill.service.sql(off)
    drill.service.sql(update, percent)
    drill.service.sql(on)


def agreed(live, new_page, sign_in) -> None:
    """A second person of trust & safety decides."""
    live.manage("grant_staff_role", "--email", SECOND, "--role", "trust_safety", "--reason", "a drill")
    page = new_page()
    sign_in(page, SECOND)
    page.goto("/staff/approvals/")
    asked = page.locator("article", has=page.get_by_role("button", name="Approve and make it")).first
    asked.locator("[name=reason]").fill("seen, it goes")
    asked.get_by_role("button", name="Approve and make it").click()
    expect(page.locator(".messages")).to_be_visible(timeout=LOADED_MS)


def dead(service, path: str) -> bool:
    """Whether nothing is delivered there any more."""
    try:
        with service.open("GET", path):
            return False
    except urllib.error.HTTPError as error:
        with error:
            return error.code in (403, 404, 409, 410)
