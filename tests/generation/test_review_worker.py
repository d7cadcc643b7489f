"""The way through review on the shipped model: a worker leaves the clip to people, upkeep delivers what they pass."""

import pytest
from django.db import transaction

from billing.models import Charge
from generation.afterwards import review_upkeep
from generation.models import Asset, Attempt, Pool, State
from generation.worker import loop
from generation.worker.station import Station
from safety.credentials.provenance import verify
from safety.models import ReviewItem, SafetyIncident, Threshold
from safety.postfilter import canary, gates
from safety.postfilter.protocol import Finding
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit
from tests.generation.review_stage import decided, review_folders, reviewer

__all__ = ["review_folders"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def station(review_folders, settings, monkeypatch):
    settings.CHECKPOINT_ROOT = review_folders / "checkpoints"
    monkeypatch.setattr(transaction, "on_commit", lambda call, *_, **__: call())
    station = Station(Pool.objects.get(pk="clips"), slots=1, finishing=0)
    yield station
    station.close()


class Doubting:
    """In doubt about violence on every frame: between the review and the block score."""

    id, version, classes, judges_unseen = "doubting", "1", frozenset({"violence"}), True

    def prepare(self, frame_class):
        threshold = Threshold.objects.get(frame_class="violence")
        return lambda frames: (
            [Finding((threshold.review_score + threshold.block_score) / 2, {})] * len(frames)
        )


def test_a_clip_in_doubt_waits_for_a_person_and_is_then_delivered_whole(station, monkeypatch, review_folders):
    shipped = gates.gates()
    job = submit(tenant("free"), seed=5)
    with monkeypatch.context() as patch:
        # Only the finished file: a preview that asks for a person is not shown, and the clip goes on.
        patch.setattr("safety.postfilter.scan.gates", lambda: (*shipped, Doubting()))
        assert loop.work(station) == 1
    job.refresh_from_db()
    assert (job.state, Attempt.objects.get(job=job).outcome) == (State.REVIEW, Attempt.Outcome.REVIEW)
    assert not Asset.objects.filter(job=job).exists()
    item = ReviewItem.objects.get(subject=str(job.pk))
    assert (item.review_class, item.kind, item.digest) == ("violence", "scan", item.scan.digest)
    review_upkeep.run()
    item.refresh_from_db()
    assert len(item.frames) == 4
    job.refresh_from_db()
    assert job.state == State.REVIEW  # a round of upkeep delivers nothing that nobody decided
    decided(item, reviewer())
    review_upkeep.run()
    job.refresh_from_db()
    assert (job.state, job.steps_run) == (State.DELIVERED, job.steps)
    assert Charge.objects.filter(usage_event__subject=str(job.pk)).count() == 1
    files = {asset.role: review_folders / "media" / asset.path for asset in Asset.objects.filter(job=job)}
    assert set(files) == {"video", "thumbnail", "spritesheet"}
    assert verify(files["video"]).state == "Trusted"


def test_a_child_safety_block_opens_one_incident_with_hashes_and_no_content(station, monkeypatch):
    job = submit(tenant("free"), seed=5)
    engine = station.engine(job.model, job.spec.get("precision"))

    def marked(state):
        frames = type(engine).decode(engine, state)
        frames[7] = canary.paint(frames[7], "child_safety")
        return frames

    monkeypatch.setattr(engine, "decode", marked)
    loop.work(station)
    job.refresh_from_db()
    assert job.state == State.BLOCKED
    incident = SafetyIncident.objects.get(subject=str(job.pk))
    assert (incident.kind, incident.state) == ("child_safety", "open")
    assert incident.evidence["sha256"]
    assert [row["frame"] for row in incident.evidence["verdicts"]] == [7]
    assert job.prompt not in str(incident.evidence)
    assert not ReviewItem.objects.filter(subject=str(job.pk)).exists()
