"""A clip in review: nothing delivers it but people, once, and whoever is killed in between, it comes to its end."""

import hashlib
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import AuditEntry, OperationalEvent
from billing.models import Charge, Hold
from generation import finalization, upkeep
from generation.afterwards import quarantine_files, review_delivery
from generation.credentials import signing
from generation.late_clips import time_in_system
from generation.models import Asset, Job, State
from safety.credentials.provenance import SigningUnavailable, verify_bytes
from safety.models import Clearance, Credential, ReviewItem
from tests.generation.review_stage import (
    decided,
    in_review,
    permit,
    review_folders,
    reviewer,
    scan_of,
    stored_files,
)

__all__ = ["review_folders"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(review_folders):
    return review_folders


@pytest.fixture(autouse=True)
def at_once(monkeypatch, django_capture_on_commit_callbacks):
    """What follows a commit happens, although a test's transaction never commits."""
    monkeypatch.setattr(transaction, "on_commit", lambda call, *_, **__: call())


def refused(sql: str, *values, match: str) -> None:
    with pytest.raises(DatabaseError, match=match), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def charges(job: Job) -> list[int]:
    return list(Charge.objects.filter(usage_event__subject=str(job.pk)).values_list("amount", flat=True))


def test_a_clip_in_review_is_kept_where_nothing_delivers_from(folder):
    job, item = in_review(folder)
    assert (job.state, item.state, item.review_class) == (State.REVIEW, "open", "violence")
    assert job.hold.state == Hold.State.OPEN
    assert stored_files() == []
    assert not Asset.objects.filter(job=job).exists()
    name = review_delivery.kept_name(job, job.fence)
    assert quarantine_files.quarantine().exists(name)
    with pytest.raises(Exception, match="quarantine"):
        quarantine_files.quarantine().url(name)


def test_a_passed_clip_is_signed_delivered_and_charged_as_any_other(folder):
    job, item = in_review(folder)
    person = reviewer()
    assert decided(item, person).state == "passed"
    job.refresh_from_db()
    assert job.state == State.REVIEW  # upkeep delivers, from the rows
    assert review_delivery.deliver_cleared() == 1
    job.refresh_from_db()
    assert (job.state, job.charge_micro) == (State.DELIVERED, job.quote_micro)
    assert charges(job) == [job.quote_micro]
    asset = Asset.objects.get(job=job, role="video")
    with quarantine_files.default_storage.open(asset.path) as file:
        assert verify_bytes(file.read()).state == "Trusted"
    assert not quarantine_files.quarantine().exists(f"review/{job.pk}")
    assert review_delivery.deliver_cleared() == 0
    entry = AuditEntry.objects.get(action="review.pass", target=f"review:{item.pk}")
    assert (entry.actor, entry.after["sha256"]) == (person, item.digest)


def test_a_refused_clip_is_blocked_and_its_hold_released(folder):
    job, item = in_review(folder)
    assert decided(item, reviewer(), "block", "not for delivery").state == "refused"
    job.refresh_from_db()
    assert (job.state, job.error_code, job.charge_micro) == (State.BLOCKED, "moderation_blocked", 0)
    assert Hold.objects.get(pk=job.hold_id).state != Hold.State.OPEN
    assert charges(job) == [0]
    assert review_delivery.deliver_cleared() == 0
    assert stored_files() == []
    assert not quarantine_files.quarantine().exists(f"review/{job.pk}")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["sign_all", "stored_all", "deliver_held"])
def test_killed_between_decision_and_delivery_the_next_round_delivers_once(folder, monkeypatch, where):
    job, item = in_review(folder)
    decided(item, reviewer())
    place = finalization if where == "deliver_held" else signing

    def killed(*arguments, **named):
        if where != "sign_all":
            original(*arguments, **named)
        raise Killed

    original = getattr(place, where)
    with monkeypatch.context() as patch:
        patch.setattr(place, where, killed)
        with pytest.raises(Killed):
            review_delivery.deliver_cleared()
    job.refresh_from_db()
    assert (job.state, charges(job)) == (State.REVIEW, [])
    assert review_delivery.deliver_cleared() == 1
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    assert charges(job) == [job.quote_micro]
    assert stored_files() == sorted(Asset.objects.filter(job=job).values_list("path", flat=True))


def test_a_decision_whose_end_fails_is_not_there(folder, monkeypatch):
    job, item = in_review(folder)
    person = reviewer()
    with monkeypatch.context() as patch:
        patch.setattr(finalization, "_finish", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed), transaction.atomic():
            decided(item, person, "block", "no")
    item.refresh_from_db()
    job.refresh_from_db()
    assert (item.state, item.decisions.count(), job.state) == ("open", 0, State.REVIEW)
    assert charges(job) == []


def test_a_cleared_clip_waits_for_the_signer_and_is_then_delivered(folder, monkeypatch):
    job, item = in_review(folder)
    decided(item, reviewer())

    def down(*_):
        raise SigningUnavailable("the signer is away")

    with monkeypatch.context() as patch:
        patch.setattr(signing, "sign_all", down)
        assert review_delivery.deliver_cleared() == 0
    job.refresh_from_db()
    assert job.state == State.REVIEW
    assert review_delivery.deliver_cleared() == 1


def test_a_kept_file_that_was_changed_is_never_delivered(folder):
    job, item = in_review(folder)
    decided(item, reviewer())
    path = folder / "quarantine" / review_delivery.kept_name(job, job.fence)
    path.write_bytes(path.read_bytes() + b"x")
    assert review_delivery.deliver_cleared() == 0
    job.refresh_from_db()
    assert (job.state, job.error_code, charges(job)) == (State.BLOCKED, "internal_error", [0])
    assert OperationalEvent.objects.filter(kind="review.not_deliverable", subject=f"job:{job.pk}").exists()
    assert stored_files() == []


def age(job: Job, hours: float) -> None:
    """As if it had come into review so long ago, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE generation_job SET state_at = clock_timestamp() - make_interval(mins => %s) WHERE id = %s",
            [round(hours * 60), job.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


@pytest.mark.parametrize(("hours", "state"), [(23.9, State.REVIEW), (24.1, State.BLOCKED)])
def test_what_nobody_decided_in_a_day_is_blocked(folder, hours, state):
    job, item = in_review(folder)
    age(job, hours)
    upkeep.expire_reviews()
    job.refresh_from_db()
    item.refresh_from_db()
    assert job.state == state
    assert item.state == ("open" if state == State.REVIEW else "expired")
    assert (Hold.objects.get(pk=job.hold_id).state == Hold.State.OPEN) is (state == State.REVIEW)


def test_what_was_cleared_in_time_is_not_blocked_by_the_clock(folder):
    job, item = in_review(folder)
    decided(item, reviewer())
    age(job, 24.1)
    assert review_delivery.expire() == 0
    assert review_delivery.deliver_cleared() == 1


def test_the_service_clock_stands_still_in_review(folder):
    job, item = in_review(folder)
    with connection.cursor() as cursor:  # queued three hours ago, in review for the last two of them
        cursor.execute("SET LOCAL session_replication_role = replica")
        back = "UPDATE {} SET {} = {} - interval '{} hours' WHERE {} = %s"
        cursor.execute(back.format("generation_job", "queued_at", "queued_at", 3, "id"), [job.pk])
        moved = back.format("generation_jobevent", "at", "at", 2, "to_state = 'review' AND job_id")
        cursor.execute(moved, [job.pk])
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    decided(item, reviewer())
    review_delivery.deliver_cleared()
    job.refresh_from_db()
    assert abs(time_in_system(job) - timedelta(hours=1)) < timedelta(seconds=10)


# What the database refuses, past every line of Python.


def signed_behind(job: Job, item: ReviewItem, folder) -> None:
    """Everything that delivery asks for except the clearance: somebody forged credentials and a file."""
    forged = hashlib.sha256(str(job.pk).encode()).hexdigest()
    Credential.objects.create(
        subject=str(job.pk),
        fence=job.fence,
        unsigned_digest=item.digest,
        signed_digest=forged,
        state="Trusted",
        signer_fingerprint="0" * 64,
        claims={},
    )
    values = {
        "job": job,
        "fence": job.fence,
        "path": f"clips/{job.pk}/x",
        "media_type": "video/mp4",
        "bytes": 1,
    }
    with pytest.raises(DatabaseError, match="no scan that passed"), transaction.atomic():
        Asset.objects.create(**values, digest=forged)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        Asset.objects.create(**values, digest=forged)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


DELIVER = "UPDATE generation_job SET state = 'delivered', state_cause = 'x' WHERE id = %s"
CLEAR = (
    "INSERT INTO safety_clearance (item_id, scan_id, subject, fence, digest) "
    "SELECT id, scan_id, subject, fence, digest FROM safety_reviewitem WHERE id = %s"
)


def test_no_clip_leaves_review_without_a_clearance(folder):
    job, item = in_review(folder)
    signed_behind(job, item, folder)
    refused(DELIVER, job.pk, match="scan, digest and Trusted credentials")
    refused(CLEAR, item.pk, match="did not pass this scan")
    refused(
        "UPDATE safety_reviewitem SET state = 'passed' WHERE id = %s", item.pk, match="lacks the decisions"
    )
    job.refresh_from_db()
    assert job.state == State.REVIEW


def test_a_clearance_of_another_file_lets_nothing_out(folder):
    job, item = in_review(folder)
    decided(item, reviewer())
    other, waiting = in_review(folder, seed=2)
    signed_behind(other, waiting, folder)
    refused(DELIVER, other.pk, match="scan, digest and Trusted credentials")
    clearance = Clearance.objects.get(item=item)
    refused(
        "UPDATE safety_clearance SET digest = %s WHERE id = %s", "b" * 64, clearance.pk, match="append|Cannot"
    )


@pytest.mark.parametrize(
    "outcomes",
    [
        {"child_safety": "review", "violence": "review"},
        {"child_safety": "unusable", "violence": "review"},
        {"violence": "review", "intimate": "unusable"},
    ],
)
def test_people_never_clear_what_the_gates_did_not_leave_to_them(folder, outcomes):
    """Child safety must have passed every frame, and every frame must have been judged."""
    job, item = in_review(folder, outcomes=outcomes)
    *first, last = [reviewer("child_safety") for _ in range(item.people)]
    for one in first:
        decided(item, one)
    with pytest.raises(DatabaseError, match="cannot be cleared"), transaction.atomic():
        decided(item, last)
    job.refresh_from_db()
    assert job.state == State.REVIEW
    assert not Clearance.objects.filter(item=item).exists()


def test_a_blocked_scan_has_no_item_and_none_can_be_cleared(folder):
    job, item = in_review(folder)
    blocked = scan_of(b"another file", job, job.fence, {"child_safety": "block"})
    decided(item, reviewer())
    refused(
        "INSERT INTO safety_clearance (item_id, scan_id, subject, fence, digest) VALUES (%s, %s, %s, %s, %s)",
        item.pk,
        blocked.pk,
        str(job.pk),
        job.fence,
        blocked.digest,
        match="did not pass this scan|already exists",
    )


def test_permission_for_child_safety_needs_a_name(folder):
    with pytest.raises(DatabaseError, match="reviewer_of_child_safety_is_named"), transaction.atomic():
        permit(None, "child_safety")
