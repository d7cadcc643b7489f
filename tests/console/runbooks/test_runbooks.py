"""Runbooks: one per alarm, each action looked at before it is applied, in place, with a way back."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import staff
from accounts.models import AuditEntry, StaffRole
from console.alarms.policy.catalog import ALARMS
from console.changes import rows
from console.models import RunbookUse
from console.runbooks.books.catalog import BOOKS, BY_SLUG
from console.runbooks.tools import catalog as tools
from generation.models import LaneOverride
from generation.scheduling import lane_settings
from tests.console.people import operator, person

pytestmark = pytest.mark.django_db
PLUS = "/operate/runbooks/plus_starvation/"


def on_call() -> tuple[Client, object]:
    """An operator who is of trust & safety too."""
    client, user = operator()
    staff.grant(user, StaffRole.Role.TRUST_SAFETY, "test", "for this test")
    return client, user


def form_of(html: str) -> dict[str, str | list[str]]:
    """The hidden fields of the form that applies the open step."""
    apply = html.split('method="post" action="/operate/runbooks/', 1)[1].split("</form>", 1)[0]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', apply):
        found.setdefault(name, []).append(unescape(value))
    found.pop("csrfmiddlewaretoken", None)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def opened(client: Client, address: str, step: str, **values: object) -> str:
    answer = client.get(address, {"do": step, **values})
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return answer.content.decode()


def applied(client: Client, html: str, **more: str):
    form = form_of(html) | {"reason": "for this test", **more}
    address = re.search(r'method="post" action="(/operate/runbooks/[^"]+)"', html)[1]
    return client.post(address, form)


def weight_of(slug: str) -> float:
    (lane,) = [lane for lane in lane_settings.lanes() if lane.slug == slug]
    return lane_settings.effective(lane, timezone.now()).weight


def test_every_alarm_has_a_runbook_with_every_section():
    assert {alarm.name for alarm in ALARMS} == set(BY_SLUG)
    for book in BOOKS:
        assert [section.title for section in book.sections] == [
            "Detect", "Mitigate", "Escalate", "Roll back", "Follow up"
        ]  # fmt: skip
        assert all(section.steps for section in book.sections)
        names = [step.name for step in book.doing()]
        assert len(names) == len(set(names)), book.slug
        assert {step.tool for step in book.doing()} <= set(tools.BY_SLUG)
        for step in book.steps():
            assert not step.page or reverse(step.page)


def test_the_published_runbooks_offer_their_actions():
    offered = {slug: {step.tool for step in BY_SLUG[slug].doing()} for slug in BY_SLUG}
    assert {"add_rule", "worker_state", "quarantine_model", "pause_pool"} <= offered["not_finite"]
    assert {
        "suspend_faces", "suspend_category", "tighten_threshold", "pull_window", "delete_clips"
    } <= offered["bypass"]  # fmt: skip
    assert {"lane_weight", "burst_cap", "sla_credits", "raise_rule"} <= offered["plus_starvation"]
    assert "rotate_signer" in offered["signing_down"]
    assert [book.restored for book in BOOKS[:3]] == [(12, 30), (30, 240), (8, 25)]


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.slug)
def test_every_page_and_every_step_opens(book):
    client, _ = on_call()
    address = f"/operate/runbooks/{book.slug}/"
    assert client.get(address).status_code == 200
    for step in book.doing():
        assert f'id="do-title">{step.verb}' in opened(client, address, step.name).replace("&#x27;", "'")


@pytest.mark.parametrize("tool", tools.TOOLS, ids=lambda tool: tool.slug)
def test_every_tool_opens_in_any_runbook(tool):
    client, _ = on_call()
    assert tool.about[:30] in unescape(opened(client, "/operate/runbooks/webhooks_late/", tool.slug))


def test_the_first_mitigation_is_a_look_and_one_more_click():
    client, user = operator()
    assert "?do=lane_weight&amp;scope=clips#do" in client.get(PLUS, {"scope": "clips"}).content.decode()
    html = opened(client, PLUS, "lane_weight", scope="clips")
    assert "Plus in clips goes from weight 2 to 4" in html
    assert "p95 wait:" in html
    assert not LaneOverride.objects.exists()
    answer = applied(client, html, expires="60")
    assert (answer.status_code, answer.url) == (302, PLUS)
    assert weight_of("clips-plus") == 4
    (override,) = LaneOverride.objects.all()
    assert timedelta(minutes=59) < override.expires_at - timezone.now() <= timedelta(minutes=60)
    entry = AuditEntry.objects.get(action="lane.weight")
    assert (entry.actor, entry.reason, entry.before, entry.after["weight"]) == (
        user, "for this test", {"weight": 2.0}, 4.0
    )  # fmt: skip
    assert RunbookUse.objects.get().runbook == "plus_starvation"
    page = client.get(PLUS).content.decode()
    assert "weight 2 →" in page
    assert "measured 5 min after it" in page


def test_it_comes_back_to_the_page_that_showed_it_and_nowhere_else():
    client, _ = operator()
    html = opened(client, PLUS, "burst_cap")
    assert applied(client, html, back="/operate/lanes/").url == "/operate/lanes/"
    html = opened(client, PLUS, "burst_cap")
    assert applied(client, html, back="https://elsewhere.example/").url == PLUS


def test_nothing_is_applied_unseen_without_a_reason_or_after_it_changed():
    client, _ = operator()
    html = opened(client, PLUS, "lane_weight")
    assert applied(client, html, reason=" ").status_code == 400
    assert applied(client, html, seen="").status_code == 400
    assert applied(client, html, **{"v-value": "9"}).status_code == 400
    other, _ = operator()
    assert applied(other, html).status_code == 400
    assert not LaneOverride.objects.exists()
    assert applied(client, html).status_code == 302
    again = applied(client, html)  # looked at before the weight changed
    assert again.status_code == 400
    assert "Look at what this change would do first" in again.content.decode()
    assert LaneOverride.objects.count() == 1


def test_an_incident_is_kept_with_what_was_done_for_it():
    client, _ = operator()
    html = opened(client, PLUS, "pause_pool", incident="7", **{"v-pool": "clips"})
    assert applied(client, html, expires="15").status_code == 302
    use = RunbookUse.objects.get()
    assert (use.incident, use.step, use.entry.action) == (7, "pause_pool", "pool.pause")


def test_a_step_of_another_role_says_whom_to_page():
    client, _ = operator()
    page = client.get("/operate/runbooks/bypass/").content.decode()
    assert "Suspend clips with faces takes trust &amp; safety" in page
    assert "?do=suspend_faces" not in page
    html = opened(client, "/operate/runbooks/bypass/", "suspend_faces")
    assert "which you don't hold" in unescape(html)
    assert 'name="seen"' not in html


def test_members_may_not_look():
    client, _ = person()
    assert client.get(PLUS).status_code in (403, 404)
    assert client.post(f"{PLUS}do", {"do": "lane_weight"}).status_code in (403, 404)
    assert Client().get(PLUS).status_code == 302


def test_what_does_not_exist_is_said():
    client, _ = operator()
    assert client.get("/operate/runbooks/nothing/").status_code == 404
    closed = client.get(PLUS, {"do": "nothing"})  # said, on the page without an open step
    assert closed.status_code == 404
    assert "This runbook has no step" in closed.content.decode()
    assert client.post(f"{PLUS}do", {"do": "nothing", "reason": "x"}).status_code == 404
    wrong = client.get(PLUS, {"do": "lane_weight", "v-lane": "clips-plus", "v-value": "many"})
    assert "Give weight as a number" in wrong.content.decode()


def test_changes_lists_it_and_undoes_it():
    client, _ = operator()
    applied(client, opened(client, PLUS, "lane_weight"), expires="60")
    entry = AuditEntry.objects.get(action="lane.weight")
    page = client.get("/operate/changes/").content.decode()
    assert "Change lane weight" in page
    assert f"/operate/changes/{entry.pk}/take-back" in page
    assert client.post(f"/operate/changes/{entry.pk}/take-back", {"reason": ""}).status_code == 302
    assert weight_of("clips-plus") == 4
    assert client.post(f"/operate/changes/{entry.pk}/take-back", {"reason": "enough"}).status_code == 302
    assert weight_of("clips-plus") == 2
    page = client.get("/operate/changes/").content.decode()
    assert f"/operate/changes/{entry.pk}/take-back" not in page
    assert "Undone" in page


def test_a_pause_ends_by_itself_and_is_no_longer_undoable():
    client, _ = operator()
    applied(client, opened(client, PLUS, "pause_pool", **{"v-pool": "clips"}), expires="15")
    assert "/take-back" in client.get("/operate/changes/").content.decode()
    now = timezone.now()
    assert [change.undoable for change in rows.newest(now)] == [True]
    assert [change.undoable for change in rows.newest(now + timedelta(minutes=16))] == [False]
