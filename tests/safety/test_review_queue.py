"""The queue: who sees what, one at a time by the database's clock, two where configured, limits on what is seen."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts import actions, approvals
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, User
from safety import incidents
from safety.models import (
    Exposure,
    IncidentNote,
    ReviewClaim,
    ReviewClass,
    ReviewDecision,
    Reviewer,
    ReviewItem,
    ReviewLimits,
    ReviewPolicy,
    SafetyIncident,
    UserReport,
)
from safety.review import queue as review
from safety.review import reports
from safety.review.actions import ChangeReviewRow, GrantReviewer, WithdrawReviewer
from tests.generation.review_stage import permit, reviewer

pytestmark = pytest.mark.django_db


def item(review_class: str = "violence", subject: str = "one", **more) -> ReviewItem:
    return review.open_item(
        subject, "a" * 64, kind=ReviewItem.Kind.PULL, review_class=review_class, why="for this test", **more
    )


def decide(found: ReviewItem, person: User, verdict: str = "pass") -> ReviewItem:
    review.claim(found.pk, person)
    with transaction.atomic():
        return review.decide(found.pk, person, verdict, "looked at it")


def refused(sql: str, *values, match: str) -> None:
    with pytest.raises(DatabaseError, match=match), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def lapse(claim: ReviewClaim) -> None:
    """As if its lease had run out, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE safety_reviewclaim SET at = at - interval '2 hours',"
            " lease_expires_at = clock_timestamp() - interval '1 second' WHERE id = %s",
            [claim.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


# Who sees what.


def test_the_queue_shows_what_a_person_may_see_child_safety_first():
    for number, name in enumerate(ReviewClass.values):
        item(name, f"subject {number}")
    anybody, named = reviewer(), reviewer("child_safety")
    assert "child_safety" not in {one.review_class for one in review.queue(anybody)}
    assert len(review.queue(anybody)) == 5
    assert review.queue(named)[0].review_class == "child_safety"
    outsider = User.objects.create_user("outsider@example.com")
    permit(outsider, "violence")
    assert list(review.queue(outsider)) == []  # the permission is nothing without the role


@pytest.mark.parametrize("call", ["find", "claim"])
def test_an_item_of_another_class_is_not_there(call):
    hidden = item("child_safety")
    with pytest.raises(ApiError) as caught:
        getattr(review, call)(hidden.pk, reviewer())
    assert caught.value.code == "not_found"
    assert ReviewClaim.objects.count() == 0


def test_a_permission_that_was_taken_away_ends_at_once():
    person = reviewer()
    Reviewer.objects.filter(review_class="violence").update(withdrawn_at=timezone.now(), withdrawn_by="test")
    with pytest.raises(ApiError, match="do not review"):
        review.claim(item().pk, person)


# Claims.


def test_one_person_at_a_time_until_the_lease_runs_out():
    found, first, second = item(), reviewer(), reviewer()
    held = review.claim(found.pk, first)
    assert review.claim(found.pk, first) == held
    with pytest.raises(ApiError) as caught:
        review.claim(found.pk, second)
    assert (caught.value.code, first.email in caught.value.message) == ("not_ready", True)
    lapse(held)
    taken = review.claim(found.pk, second)
    held.refresh_from_db()
    assert (held.end, taken.person) == ("expired", second)
    with pytest.raises(ApiError, match="claim"), transaction.atomic():
        review.decide(found.pk, first, "pass", "too late")
    assert ReviewDecision.objects.count() == 0


def test_claiming_another_gives_the_first_back():
    one, other, person = item(), item(subject="two"), reviewer()
    first = review.claim(one.pk, person)
    review.claim(other.pk, person)
    first.refresh_from_db()
    assert first.end == "released"
    assert review.claim(one.pk, reviewer())


# Decisions.


@pytest.mark.parametrize(
    ("state", "people", "verdicts", "end"),
    [
        ("open", 1, ["pass"], "passed"),
        ("open", 1, ["block"], "refused"),
        ("open", 1, ["escalate"], "escalated"),
        ("open", 2, ["pass"], "open"),
        ("open", 2, ["block"], "open"),
        ("open", 2, ["pass", "pass"], "passed"),
        ("open", 2, ["block", "block"], "refused"),
        ("open", 2, ["pass", "block"], "escalated"),
        ("open", 2, ["block", "pass"], "escalated"),
        ("escalated", 2, ["pass", "block", "pass"], "passed"),
        ("escalated", 1, ["escalate", "block"], "refused"),
    ],
)
def test_what_decisions_lead_to(state, people, verdicts, end):
    assert review.outcome(state, people, verdicts) == end


def test_a_second_opinion_is_another_persons():
    found, first, second = item("intimate"), reviewer(), reviewer()
    assert decide(found, first).state == "open"
    assert found not in review.queue(first)
    with pytest.raises(ApiError, match="second person"):
        review.claim(found.pk, first)
    assert decide(found, second).state == "passed"
    assert AuditEntry.objects.filter(action="review.pass", target=f"review:{found.pk}").count() == 2


def test_disagreement_escalates_to_somebody_who_decides_those():
    found, first, second = item("intimate"), reviewer(), reviewer()
    decide(found, first)
    assert decide(found, second, "block").state == "escalated"
    Reviewer.objects.filter(review_class="intimate").update(decides_escalated=False)
    with pytest.raises(ApiError, match="escalated"):
        review.claim(found.pk, reviewer())
    assert decide(found, reviewer("intimate"), "block").state == "refused"


def test_a_decision_needs_a_reason_and_a_known_verdict():
    found, person = item(), reviewer()
    review.claim(found.pk, person)
    for verdict, reason, code in (
        ("pass", "  ", "missing_required_parameter"),
        ("maybe", "x", "invalid_value"),
    ):
        with pytest.raises(ApiError) as caught, transaction.atomic():
            review.decide(found.pk, person, verdict, reason)
        assert caught.value.code == code
    assert ReviewDecision.objects.count() == 0


# What the database refuses.

DECIDE = (
    "INSERT INTO safety_reviewdecision (item_id, person_id, verdict, reason, escalated)"
    " VALUES (%s, %s, %s, 'x', %s)"
)


def test_past_python_nobody_decides_without_claim_permission_and_item():
    found, person = item(), reviewer()
    refused(DECIDE, found.pk, person.pk, "pass", False, match="not claimed by who decides")
    lapse(review.claim(found.pk, person))
    refused(DECIDE, found.pk, person.pk, "pass", False, match="not claimed by who decides")
    hidden = item("child_safety", "two")
    ReviewClaim.objects.filter(person=person).update(ended_at=timezone.now(), end="expired")
    lease = timezone.now() + timedelta(minutes=5)
    ReviewClaim.objects.create(item=hidden, person=person, lease_expires_at=lease)
    refused(DECIDE, hidden.pk, person.pk, "pass", False, match="may not decide child_safety")


def test_past_python_a_decision_is_not_called_escalated_and_an_end_is_earned():
    found, person = item("intimate"), reviewer()
    review.claim(found.pk, person)
    with connection.cursor() as cursor:
        cursor.execute(DECIDE, [found.pk, person.pk, "pass", True])
    assert ReviewDecision.objects.get().escalated is False
    end = "UPDATE safety_reviewitem SET state = %s, closed_at = now() WHERE id = %s"
    refused(end, "passed", found.pk, match="lacks the decisions")
    refused(end, "refused", found.pk, match="lacks the decisions")
    refused("UPDATE safety_reviewitem SET people = 1 WHERE id = %s", found.pk, match="only rises")
    refused(
        "UPDATE safety_reviewitem SET digest = %s WHERE id = %s", "b" * 64, found.pk, match="Cannot update"
    )
    refused("DELETE FROM safety_reviewdecision WHERE item_id = %s", found.pk, match="Cannot update or delete")
    refused("DELETE FROM safety_reviewitem WHERE id = %s", found.pk, match="Cannot delete")


def test_past_python_an_ended_item_stays_so():
    found = item()
    decide(found, reviewer(), "block")
    sql = "UPDATE safety_reviewitem SET state = 'open', closed_at = NULL WHERE id = %s"
    refused(sql, found.pk, match="refused does not go to open")


# Exposure.


def test_a_clear_look_is_counted_lasts_a_moment_and_needs_the_claim():
    found, person = item(), reviewer()
    with pytest.raises(ApiError, match="claim"):
        review.reveal(found.pk, person)
    review.claim(found.pk, person)
    assert review.may_see_clear(found, person) is False
    made = review.reveal(found.pk, person)
    assert made.until - made.at == timedelta(seconds=30)
    assert review.may_see_clear(found, person) is True
    assert review.may_see_clear(found, reviewer()) is False
    review.release(found.pk, person)
    assert review.may_see_clear(found, person) is False
    assert review.exposed(person).reveals == 1


def test_over_the_limit_of_a_day_nothing_more_is_shown():
    ReviewLimits.objects.update(reveals_per_day=1)
    one, other, person = item(), item(subject="two"), reviewer()
    review.claim(one.pk, person)
    review.reveal(one.pk, person)
    review.claim(other.pk, person)
    with pytest.raises(ApiError) as caught:
        review.reveal(other.pk, person)
    assert (caught.value.code, caught.value.status) == ("exposure_limit_reached", 429)
    assert Exposure.objects.count() == 1
    assert review.exposed(person).reveals == 1


def test_over_the_minutes_of_a_day_nothing_more_is_claimed():
    ReviewLimits.objects.update(minutes_per_day=5)
    found, person = item(), reviewer()
    earlier = ReviewClaim.objects.create(
        item=item(subject="two"), person=person, lease_expires_at=timezone.now() + timedelta(minutes=30)
    )
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE safety_reviewclaim SET at = date_trunc('day', now()), ended_at = date_trunc('day', now()) +"
            " interval '6 minutes', \"end\" = 'released' WHERE id = %s",
            [earlier.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    assert review.exposed(person).minutes == pytest.approx(6)
    with pytest.raises(ApiError, match="6 of 5 minutes"):
        review.claim(found.pk, person)
    assert ReviewClaim.objects.filter(item=found).count() == 0


def test_child_safety_is_never_shown_clear_whoever_asks():
    found, person = item("child_safety"), reviewer("child_safety")
    review.claim(found.pk, person)
    with pytest.raises(ApiError, match="never shown clear"):
        review.reveal(found.pk, person)
    sql = "INSERT INTO safety_exposure (item_id, person_id, until) VALUES (%s, %s, now() + interval '1 hour')"
    refused(sql, found.pk, person.pk, match="no clear frames")
    refused(
        "UPDATE safety_reviewpolicy SET reveal = true WHERE review_class = 'child_safety'", match="is_strict"
    )
    assert (found.people, Exposure.objects.count()) == (2, 0)


# Reports.


def report(
    who: str = "user:1", category: str = "violence", subject: str = "one", text: str = "look"
) -> UserReport:
    return reports.submit(subject, "a" * 64, category=category, text=text, reporter=who, organization=None)


def test_reports_of_one_clip_join_one_item_and_one_reporter_has_one():
    first, second = report(), report("user:2", "likeness")
    assert first.item == second.item
    assert report() == first
    assert UserReport.objects.count() == 2
    assert ReviewItem.objects.count() == 1


def test_a_report_of_child_safety_makes_the_waiting_item_stricter_and_withholds():
    found = report().item
    assert (found.review_class, found.withheld, found.people) == ("violence", False, 1)
    report("user:2", "child_safety")
    found.refresh_from_db()
    assert (found.review_class, found.withheld, found.people) == ("child_safety", True, 2)


def test_reports_are_limited_per_hour():
    for number in range(reports.MOST_PER_HOUR):
        report(subject=f"subject {number}")
    with pytest.raises(ApiError) as caught:
        report(subject="one more")
    assert caught.value.code == "rate_limit_exceeded"
    assert report("user:2", subject="one more")


@pytest.mark.parametrize(
    ("category", "text", "param"), [("nonsense", "", "category"), ("other", "x" * 2001, "text")]
)
def test_what_is_no_report_is_refused(category, text, param):
    with pytest.raises(ApiError) as caught:
        report(category=category, text=text)
    assert caught.value.param == param
    assert ReviewItem.objects.count() == 0


@pytest.mark.parametrize(("verdict", "state"), [("block", "confirmed"), ("pass", "dismissed")])
def test_a_decision_closes_its_reports(verdict, state):
    made = report()
    decide(made.item, reviewer(), verdict)
    made.refresh_from_db()
    assert made.state == state
    assert report() != made  # a new one may be sent once the first is closed


# Incidents.


def test_an_incident_opens_once_per_cause_and_its_timeline_only_grows():
    values = {"evidence": {"sha256": "a" * 64}, "by": "frame gates", "text": "blocked"}
    first = incidents.open_incident("child_safety", "scan:1", "A block", **values)
    assert incidents.open_incident("child_safety", "scan:1", "A block", **values) == first
    person = reviewer()
    incidents.note(first, person, "asked counsel")
    closed = incidents.set_state(first.pk, "closed", person, "handled")
    assert [row.what for row in closed.notes.order_by("pk")] == ["opened", "note", "closed"]
    with pytest.raises(ApiError, match="already"):
        incidents.set_state(first.pk, "closed", person, "again")
    incidents.set_state(first.pk, "open", person, "not done after all")
    shown = incidents.export(SafetyIncident.objects.get(pk=first.pk))
    assert (shown["state"], len(shown["timeline"]), shown["evidence"]) == ("open", 4, {"sha256": "a" * 64})
    refused(
        "UPDATE safety_incidentnote SET text = 'x' WHERE incident_id = %s", first.pk, match="Cannot update"
    )
    refused("UPDATE safety_safetyincident SET evidence = '{}' WHERE id = %s", first.pk, match="Cannot update")
    refused("DELETE FROM safety_safetyincident WHERE id = %s", first.pk, match="Cannot delete")
    assert IncidentNote.objects.count() == 4


# Who changes review itself.


def test_permissions_are_given_by_action_and_for_child_safety_by_two():
    actor, other, newcomer = reviewer(), reviewer(), reviewer()
    Reviewer.objects.filter(review_class="violence").update(withdrawn_at=timezone.now(), withdrawn_by="test")
    entry = approvals.submit(GrantReviewer(newcomer.email, "violence"), actor, "joins us")
    assert "violence" in review.permissions(newcomer)
    actions.revert(GrantReviewer(newcomer.email, "violence"), entry, actor, "a mistake")
    assert "violence" not in review.permissions(newcomer)
    waits = approvals.submit(GrantReviewer(newcomer.email, "child_safety"), actor, "joins us")
    assert isinstance(waits, Approval)
    assert "child_safety" not in review.permissions(newcomer)
    approvals.approve(waits.pk, other, "agreed")
    assert "child_safety" in review.permissions(newcomer)
    row = Reviewer.objects.get(person=newcomer, review_class="child_safety")
    actions.perform(WithdrawReviewer(row.pk), actor, "moved on")
    assert "child_safety" not in review.permissions(newcomer)


def test_a_setting_is_previewed_changed_and_undone():
    actor, change = reviewer(), ChangeReviewRow("violence", "people", "2")
    assert change.preview().after == {"people": 2}
    entry = actions.perform(change, actor, "more care")
    assert item().people == 2
    actions.revert(change, entry, actor, "too slow")
    assert ReviewPolicy.objects.get(pk="violence").people == 1
    for wrong in (
        ("child_safety", "people", "1"),
        ("limits", "claim_minutes", "61"),
        ("violence", "people", "x"),
    ):
        with pytest.raises(ApiError):
            actions.perform(ChangeReviewRow(*wrong), actor, "x")
    assert ReviewPolicy.objects.get(pk="child_safety").people == 2
