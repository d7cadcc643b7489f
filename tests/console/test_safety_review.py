"""The pages of review, pulls, withdrawals, reviewers and incidents: by plain forms, for trust & safety alone."""

import re

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from generation.afterwards import review_delivery, review_frames, withdrawal
from generation.models import ReviewPull, State, Withdrawal
from safety import incidents
from safety.models import (
    Exposure,
    ReviewClaim,
    Reviewer,
    ReviewItem,
    ReviewLimits,
    SafetyIncident,
    UserReport,
)
from safety.review import queue as review
from safety.review import reports
from tests.console.people import operator, person, signed_in, with_second_factor
from tests.generation.api_stage import tenant
from tests.generation.review_stage import delivered, in_review, review_folders, reviewer

__all__ = ["review_folders"]
pytestmark = pytest.mark.django_db

ROOM = "/staff/safety/"
PAGES = ("review/", "pulls/", "withdrawals/", "reviewers/", "incidents/")


@pytest.fixture
def folder(review_folders, monkeypatch):
    monkeypatch.setattr(transaction, "on_commit", lambda call, *_, **__: call())
    return review_folders


def desk(*classes: str) -> tuple[Client, object]:
    """Somebody of trust & safety, signed in with both factors."""
    user = reviewer(*classes)
    return with_second_factor(signed_in(user), user), user


def html(response) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_for_trust_and_safety_and_teaches_when_it_is_empty(page):
    client, _ = desk()
    shown = html(client.get(ROOM + page))
    assert "<h1>" in shown
    assert 'class="empty"' in shown
    assert operator()[0].get(ROOM + page).status_code == 403
    assert person()[0].get(ROOM + page).status_code == 403


def test_an_item_is_claimed_decided_and_delivered_by_plain_forms(folder):
    job, item = in_review(folder)
    client, user = desk()
    assert str(item.pk) in html(client.get(ROOM + "review/"))
    page = f"{ROOM}review/{item.pk}/"
    assert "Store the decision" not in html(client.get(page))
    client.post(page + "claim")
    assert "Store the decision" in html(client.get(page))
    blank = client.post(page + "decide", {"verdict": "pass", "reason": " "})
    assert (blank.status_code, "Say why" in blank.content.decode()) == (400, True)
    client.post(page + "decide", {"verdict": "pass", "reason": "plain colours"})
    item.refresh_from_db()
    assert item.state == "passed"
    assert review_delivery.deliver_cleared() == 1
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    entry = AuditEntry.objects.get(action="review.pass", target=f"review:{item.pk}")
    assert (entry.actor, entry.reason) == (user, "plain colours")


def test_frames_are_blurred_by_the_server_until_asked_and_counted(folder):
    _, item = in_review(folder)
    client, user = desk()
    assert review_frames.prepare() == 1
    item.refresh_from_db()
    assert item.frames == [5]
    frame = f"{ROOM}review/{item.pk}/frames/5.webp"
    blurred = client.get(frame).content
    assert client.get(frame + "?clear").content == blurred
    client.post(f"{ROOM}review/{item.pk}/claim")
    assert client.get(frame + "?clear").content == blurred
    client.post(f"{ROOM}review/{item.pk}/reveal")
    clear = client.get(frame + "?clear").content
    assert clear != blurred
    assert "?clear" in html(client.get(f"{ROOM}review/{item.pk}/"))
    assert Exposure.objects.filter(person=user).count() == 1
    another, _ = desk()
    assert another.get(frame + "?clear").content == blurred
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE safety_exposure SET until = clock_timestamp() - interval '1 second'")
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    assert client.get(frame + "?clear").content == blurred
    assert client.get(frame)["Cache-Control"] == "private, no-store"


def test_child_safety_has_no_clear_picture_at_all_and_no_way_to_ask(folder):
    job = delivered(folder)
    review.open_item(
        str(job.pk), "a" * 64, kind="pull", review_class="child_safety", why="for this test", fence=job.fence
    )
    item = ReviewItem.objects.get(review_class="child_safety")
    review_frames.prepare()
    item.refresh_from_db()
    assert item.frames
    assert review_frames.read(item, item.frames[0], "blurred")
    assert review_frames.read(item, item.frames[0], "clear") is None
    outsider, _ = desk()
    assert outsider.get(f"{ROOM}review/{item.pk}/").status_code == 404
    assert outsider.get(f"{ROOM}review/{item.pk}/frames/{item.frames[0]}.webp").status_code == 404
    client, _ = desk("child_safety")
    client.post(f"{ROOM}review/{item.pk}/claim")
    page = html(client.get(f"{ROOM}review/{item.pk}/"))
    assert "Show clear" not in page
    assert job.prompt not in page
    assert client.post(f"{ROOM}review/{item.pk}/reveal").status_code == 403
    assert Exposure.objects.count() == 0


def test_an_item_that_becomes_child_safety_leaves_no_clear_picture(folder):
    owner = tenant("plus")
    job = delivered(folder, owner)
    asked = {"content_type": "application/json", "headers": owner.auth}
    Client().post("/api/reports", {"clip": job.public_id, "category": "violence"}, **asked)
    item = ReviewItem.objects.get()
    review_frames.prepare()
    item.refresh_from_db()
    client, user = desk("child_safety")
    client.post(f"{ROOM}review/{item.pk}/claim")
    client.post(f"{ROOM}review/{item.pk}/reveal")
    frame = f"{ROOM}review/{item.pk}/frames/{item.frames[0]}.webp"
    assert client.get(frame + "?clear").content != client.get(frame).content
    reports.submit(
        item.subject, item.digest, category="child_safety", text="", reporter="user:0", organization=None
    )
    assert client.get(frame + "?clear").status_code == 404  # until its pictures are made again
    review_frames.prepare()
    item.refresh_from_db()
    assert client.get(frame + "?clear").content == client.get(frame).content
    assert review_frames.read(item, item.frames[0], "clear") is None
    assert item.frames


def test_over_the_limit_the_page_refuses_with_words(folder):
    _, item = in_review(folder)
    client, _ = desk()
    ReviewLimits.objects.update(reveals_per_day=0)
    client.post(f"{ROOM}review/{item.pk}/claim")
    answer = client.post(f"{ROOM}review/{item.pk}/reveal")
    assert answer.status_code == 429
    assert "the most for a day" in answer.content.decode()


def test_a_second_opinion_does_not_see_the_first(folder):
    _, item = in_review(folder, outcomes={"intimate": "review"})
    for number, (client, _) in enumerate((desk(), desk())):
        client.post(f"{ROOM}review/{item.pk}/claim")
        page = html(client.get(f"{ROOM}review/{item.pk}/"))
        assert ("A second opinion" in page) is (number == 1)
        assert "first thought" not in page
        client.post(f"{ROOM}review/{item.pk}/decide", {"verdict": "pass", "reason": "first thought"})
    item.refresh_from_db()
    assert item.state == "passed"
    assert ReviewClaim.objects.filter(item=item, end="decided").count() == 2


def test_a_pull_is_counted_reasoned_and_taken_back(folder):
    job = delivered(folder)
    client, _ = desk()
    page = html(client.get(ROOM + "pulls/"))
    span = {name: re.search(rf'name="{name}"[^>]*value="([^"]+)"', page)[1] for name in ("since", "until")}
    asked = {**span, "class": "violence", "withhold": "1"}
    # Minutes are the grain of the form: what was delivered in this very minute lies behind `until`.
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE generation_job SET finished_at = finished_at - interval '5 minutes' WHERE id = %s",
            [job.pk],
        )
    counted = html(client.get(ROOM + "pulls/", asked))
    assert "1 delivered clip goes into review" in counted
    assert ReviewPull.objects.count() == 0
    assert client.post(ROOM + "pulls/apply", {**asked, "reason": ""}).status_code == 400
    client.post(ROOM + "pulls/apply", {**asked, "reason": "bypass at noon"})
    pull = ReviewPull.objects.get()
    assert (pull.pulled, pull.state) == (1, "done")
    client.post(f"{ROOM}pulls/{pull.pk}/undo", {"reason": "too wide"})
    assert ReviewItem.objects.get().state == "returned"


def test_a_clip_is_withdrawn_and_restored_by_two_people(folder):
    job = delivered(folder)
    client, _ = desk()
    looked = html(client.get(ROOM + "withdrawals/", {"clip": job.public_id, "disposal": "quarantine"}))
    assert "every link dies at once" in looked
    client.post(
        ROOM + "withdrawals/withdraw", {"clip": job.public_id, "disposal": "quarantine", "reason": "found"}
    )
    made = Withdrawal.objects.get(job=job)
    assert "by a second person" in html(client.get(ROOM + "withdrawals/"))
    client.post(f"{ROOM}withdrawals/{made.pk}/restore", {"reason": "it was fine"})
    job.refresh_from_db()
    assert job.state == State.WITHDRAWN
    desk()[0].post(f"{ROOM}withdrawals/{made.pk}/restore", {"reason": "it was fine"})
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    assert client.get(ROOM + "withdrawals/", {"clip": "nonsense"}).status_code == 400


def test_a_permission_and_a_limit_are_changed_on_the_page():
    client, user = desk()
    newcomer = reviewer()
    client.post(ROOM + "reviewers/grant", {"email": newcomer.email, "class": "violence", "reason": "joins"})
    assert Reviewer.objects.filter(person=newcomer, review_class="violence").exists()
    asked = {"row": "limits", "field": "reveals_per_day", "value": "40"}
    assert "60 → 40 items" in html(client.get(ROOM + "reviewers/", asked))
    client.post(ROOM + "reviewers/change", {**asked, "reason": "less is better"})
    assert ReviewLimits.objects.get().reveals_per_day == 40
    entry = AuditEntry.objects.get(action="review.setting")
    client.post(f"{ROOM}reviewers/changes/{entry.pk}/undo", {"reason": "back"})
    assert ReviewLimits.objects.get().reveals_per_day == 60
    assert client.post(ROOM + "reviewers/change", {**asked, "value": "x", "reason": "y"}).status_code == 400


def test_an_incident_is_opened_noted_closed_and_exported():
    client, user = desk()
    client.post(ROOM + "incidents/open", {"title": "Odd prompts", "text": "seen since noon"})
    found = SafetyIncident.objects.get()
    page = f"{ROOM}incidents/{found.pk}/"
    client.post(page + "note", {"text": "asked counsel"})
    client.post(page + "state", {"state": "closed", "reason": "nothing to it"})
    shown = html(client.get(page))
    assert "asked counsel" in shown
    exported = client.get(page + "export.json")
    assert exported["Content-Disposition"] == f'attachment; filename="incident-{found.pk}.json"'
    told = exported.json()
    assert (told["state"], told["closed_by"], len(told["timeline"])) == ("closed", user.email, 3)
    assert client.post(page + "note", {"text": " "}).status_code == 400


def test_a_member_reports_a_clip_on_its_page_once(folder):
    owner = tenant("plus")
    job = delivered(folder, owner)
    client = signed_in(owner.owner)
    page = f"/jobs/{job.public_id}/"
    assert "Report this clip" in html(client.get(page))
    for _ in range(2):
        client.post(page + "report", {"category": "violence", "text": "look at the end"})
    made = UserReport.objects.get()
    assert (made.reporter, made.text) == (f"user:{owner.owner.pk}", "look at the end")
    assert ReviewItem.objects.get().subject == str(job.pk)
    stranger, _ = person()
    assert stranger.post(page + "report", {"category": "violence"}).status_code == 404


def test_a_program_reports_a_clip(folder):
    owner, other = tenant("plus"), tenant("plus")
    job, client = delivered(folder, owner), Client()
    body = {"clip": job.public_id, "category": "likeness", "text": "that is me"}
    asked = {"content_type": "application/json", "headers": owner.auth}
    answer = client.post("/api/reports", body, **asked)
    assert answer.status_code == 201
    assert answer.json()["state"] == "open"
    assert client.post("/api/reports", body, **asked).json()["id"] == answer.json()["id"]
    assert client.post("/api/reports", {**body, "category": "no"}, **asked).status_code == 400
    assert client.post("/api/reports", {"clip": job.public_id}, **asked).status_code == 400
    hidden = client.post("/api/reports", body, content_type="application/json", headers=other.auth)
    assert hidden.status_code == 404
    assert UserReport.objects.count() == 1


def test_somebody_without_an_account_reports_and_learns_nothing(folder):
    job, client = delivered(folder), Client()
    told = {"clip": job.public_id, "category": "violence", "text": "shown to me"}
    unknown = client.post("/report", {**told, "clip": f"video_{'0' * 32}"})
    assert UserReport.objects.count() == 0
    bodies = [re.sub(r"[A-Za-z0-9]{64}", "", html(one)) for one in (client.post("/report", told), unknown)]
    assert bodies[0] == bodies[1]  # but for the tokens of their forms
    made = UserReport.objects.get()
    assert (made.organization, made.reporter.partition(":")[0]) == (None, "visitor")
    client.post("/report", told)
    assert UserReport.objects.count() == 1
    for wrong in ({"clip": "nonsense"}, {"category": "nonsense"}):
        assert client.post("/report", {**told, **wrong}).status_code == 400
    assert f'value="{job.public_id}"' in html(client.get("/report", {"clip": job.public_id}))


def test_the_number_of_queries_does_not_grow(folder):
    client, user = desk()
    pages = [ROOM + page for page in PAGES]

    def counted() -> dict[str, int]:
        found = {}
        for page in pages:
            client.get(page)
            with CaptureQueriesContext(connection) as queries:
                client.get(page)
            found[page] = len(queries)
        return found

    job = delivered(folder)
    _, item = in_review(folder, seed=2)
    pages.append(f"{ROOM}review/{item.pk}/")
    few = counted()
    for number in range(30):
        review.open_item(f"{number}", "a" * 64, kind="report", review_class="violence", why="for this test")
        incidents.open_incident(
            "manual", f"{number}", "A title", evidence={}, by="test", text="for this test"
        )
    for seed in range(3, 6):
        withdrawal.withdraw(delivered(folder, seed=seed), by="test", reason="for this test")
    withdrawal.withdraw(job, by="test", reason="for this test")
    assert counted() == few
    assert max(few.values()) <= 34
