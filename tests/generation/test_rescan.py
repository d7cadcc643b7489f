"""The rolling re-scan: a tenth by a secret seed, each once, resumable; what it finds leaves delivery at once."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import AuditEntry, OperationalEvent
from generation.afterwards import rescan
from generation.models import Asset, Job, Rescan, RescanDay, State, Withdrawal
from safety.models import ReviewItem, SafetyIncident, Scan, Threshold
from safety.postfilter import gates
from safety.postfilter.protocol import Finding
from tests.generation.review_stage import delivered, review_folders

__all__ = ["review_folders"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(review_folders, monkeypatch):
    monkeypatch.setattr(transaction, "on_commit", lambda call, *_, **__: call())
    return review_folders


@pytest.fixture
def everything(monkeypatch):
    """Every clip is in the sample."""
    monkeypatch.setattr(rescan, "SHARE_PERCENT", 100)


class Killed(BaseException):
    """The process ends here."""


class Asking:
    """A gate that is surer than the shipped ones of what it sees: `score` for violence on every frame."""

    id, version, classes, judges_unseen, score = "asking", "1", frozenset({"violence"}), True, 0.0

    def prepare(self, frame_class):
        return lambda frames: [Finding(self.score, {}) for _ in frames]


@pytest.fixture
def asking(monkeypatch):
    gate, shipped = Asking(), gates.gates()
    monkeypatch.setattr("safety.postfilter.scan.gates", lambda: (*shipped, gate))
    return gate


def violence() -> Threshold:
    return Threshold.objects.get(frame_class="violence")


def test_a_tenth_is_in_the_sample_and_stays_in_it():
    rescan.prepare_days(timezone.now())
    day = RescanDay.objects.latest("day").day
    ids = [str(uuid.UUID(int=number * 7919)) for number in range(2000)]
    chosen = [rescan.in_sample(one, day) for one in ids]
    assert 150 <= sum(chosen) <= 250  # 10 % of 2,000; five standard deviations are 67
    assert chosen == [rescan.in_sample(one, day) for one in ids]
    rescan.prepare_days(timezone.now())
    assert RescanDay.objects.count() == 2


def test_a_clean_clip_is_scanned_once_and_goes_on_being_delivered(folder, everything):
    job = delivered(folder)
    assert rescan.run() == 1
    row = Rescan.objects.get(job=job)
    asset = Asset.objects.get(job=job, role="video")
    assert (row.verdict, row.scan.purpose, row.scan.digest) == ("pass", "rescan", asset.digest)
    assert rescan.run() == 0
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    (today, _) = rescan.figures()
    assert (today["taken"], today["scanned"], today["found"]) == (1, 1, 0)


def test_what_is_listed_meanwhile_is_withdrawn_with_an_incident_and_an_alarm(folder, everything, asking):
    job = delivered(folder)
    asking.score = violence().block_score
    rescan.run()
    job.refresh_from_db()
    assert job.state == State.WITHDRAWN
    incident = SafetyIncident.objects.get(kind="rescan", subject=str(job.pk))
    assert incident.evidence["sha256"] == Rescan.objects.get(job=job).scan.digest
    alarm = OperationalEvent.objects.get(kind="rescan.hit", subject=f"job:{job.pk}")
    assert (alarm.severity, alarm.detail["classes"]) == ("critical", ["violence"])
    assert Withdrawal.objects.get(job=job).final is False
    entry = AuditEntry.objects.get(action="clip.withdraw", target=f"job:{job.pk}")
    assert (entry.actor_name, entry.after["refund_micro"]) == ("re-scan", job.charge_micro)
    assert rescan.figures()[0]["found"] == 1


def test_a_child_safety_hit_has_no_way_back(folder, everything, monkeypatch):
    job = delivered(folder)

    class Marked(Asking):
        classes = frozenset({"child_safety"})
        score = 1.0

    monkeypatch.setattr("safety.postfilter.scan.gates", lambda: (Marked(),))
    rescan.run()
    assert Withdrawal.objects.get(job=job).final is True
    assert SafetyIncident.objects.get(subject=str(job.pk)).kind == "child_safety"


def test_a_doubt_goes_to_people_and_is_withheld_meanwhile(folder, everything, asking):
    job = delivered(folder)
    threshold = violence()
    asking.score = (threshold.review_score + threshold.block_score) / 2
    rescan.run()
    item = ReviewItem.objects.get(subject=str(job.pk))
    assert (item.kind, item.review_class, item.withheld, item.state) == ("rescan", "violence", True, "open")
    assert Asset.objects.get(job=job, role="video").withheld_at is not None
    job.refresh_from_db()
    assert job.state == State.DELIVERED


@pytest.mark.parametrize("where", ["scan", "finish"])
def test_a_killed_round_is_taken_up_again(folder, everything, monkeypatch, where):
    job = delivered(folder)

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rescan, {"scan": "scan_file", "finish": "_finish"}[where], killed)
        with pytest.raises(Killed), transaction.atomic():
            rescan.run()
    # The claim was rolled back with this test's transaction; the next line stands for one that had committed.
    rescan.prepare_days(timezone.now())
    row = rescan._next()
    assert rescan.run() == 0  # it is somebody's
    Rescan.objects.filter(pk=row.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert rescan.run() == 1
    row.refresh_from_db()
    assert (row.tries, row.verdict) == (2, "pass")
    assert Rescan.objects.filter(job=job).count() == 1


def test_a_gate_that_does_not_answer_is_asked_three_times(folder, everything, monkeypatch):
    job = delivered(folder)
    monkeypatch.setattr("safety.postfilter.scan.gates", lambda: ())
    for _ in range(3):
        rescan.run()
        Rescan.objects.filter(finished_at=None).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    row = Rescan.objects.get(job=job)
    assert (row.tries, row.verdict) == (3, "unavailable")
    assert OperationalEvent.objects.filter(kind="safety.scan_unavailable").count() == 3
    assert rescan.run() == 0


def test_what_was_delivered_longer_ago_or_is_gone_is_left_alone(folder, everything):
    old, gone = delivered(folder), delivered(folder, seed=2)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE generation_job SET finished_at = finished_at - interval '25 hours' WHERE id = %s",
            [old.pk],
        )
    Job.objects.filter(pk=gone.pk).update(deleted_at=timezone.now())
    assert rescan.run() == 0
    assert Scan.objects.filter(purpose="rescan").count() == 0
