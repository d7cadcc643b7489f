"""A clip on the shipped model, from the claim to its end: delivered, cancelled, drained, blocked, broken, unsigned."""

import io
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import pytest
import torch
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import OperationalEvent, OutboxEvent
from billing.models import Charge, Hold
from billing.reconciliation import reconcile
from generation import dispatch
from generation.credentials import held
from generation.models import Asset, Attempt, Job, Pool, PoolSettings, State
from generation.scheduling import preemption
from generation.worker import checkpoints, loop
from generation.worker.encoding import decode_frames
from generation.worker.station import Station
from safety.credentials import provenance
from safety.models import Credential, Scan, Threshold
from safety.postfilter import canary
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.CHECKPOINT_ROOT = tmp_path / "checkpoints"
    settings.WORK_ROOT = tmp_path / "work"


@pytest.fixture
def station():
    station = Station(Pool.objects.get(pk="clips"), slots=1, finishing=0)
    yield station
    station.close()


def engine_of(station: Station):
    """The one that will make the first job's clip."""
    job = Job.objects.first()
    return station.engine(job.model, job.spec.get("precision"))


@contextmanager
def at_step(station: Station, step: int, happens):
    """Let something happen to the running clip right after its `step`-th step."""
    engine = engine_of(station)
    original = type(engine).step

    def stepping(state):
        original(engine, state)
        if state.index == step:
            happens(state)

    engine.step = stepping
    yield
    del engine.step


def frames_of(job: Job, tmp_path) -> np.ndarray:
    asset = Asset.objects.get(job=job, role="video")
    path = tmp_path / f"{asset.digest}.mp4"
    path.write_bytes(default_storage.open(asset.path).read())
    return decode_frames(path)


def test_a_clip_is_made_scanned_signed_delivered_and_charged(station, tmp_path):
    job = submit(tenant("free"), seed=5)
    assert loop.work(station) == 1
    job.refresh_from_db()
    assert (job.state, job.steps, job.steps_run, job.checkpoints) == (State.DELIVERED, 30, 30, 3)
    assert {"encode_prompt", "denoise", "decode", "encode", "scan", "sign", "store"} <= set(job.stages)
    assert job.device.startswith("cpu")

    scan = Scan.objects.get(subject=str(job.pk), purpose="final")
    assert (scan.verdict, scan.frames_total, scan.frames_scanned["child_safety"]) == ("pass", 16, 16)
    assert scan.frames_scanned["violence"] == 4  # 0, 5, 10 and 15: every fifth, the first and the last
    credential = Credential.objects.get(subject=str(job.pk), scanned_digest=None)
    asset = Asset.objects.get(job=job, role="video")
    assert (credential.state, credential.signed_digest) == ("Trusted", asset.digest)
    assert credential.unsigned_digest == scan.digest

    path = tmp_path / "clip.mp4"
    path.write_bytes(default_storage.open(asset.path).read())
    assert provenance.verify(path).state == "Trusted"
    assert decode_frames(path).shape == (16, 64, 64, 3)

    charge = Charge.objects.get(usage_event__subject=str(job.pk))
    assert charge.amount == job.charge_micro == job.quote_micro == 300_000
    assert Hold.objects.get(pk=job.hold_id).captured == 300_000
    assert reconcile().drift == ()
    assert checkpoints.latest(tmp_path / "checkpoints", str(job.pk), "", "", "", "").checkpoint is None
    assert OutboxEvent.objects.filter(topic="video.completed").count() == 1


def test_drained_at_any_step_the_clip_goes_on_to_the_very_same_frames(station, tmp_path):
    free = tenant("free", credit=10**9)
    whole = submit(tenant("free"), seed=11)  # of others: one's own would be served again
    loop.work(station)
    job = submit(free, seed=11)
    with at_step(station, 13, lambda state: station.stopping.set()):
        loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.ahead_of_lane, job.attempts_failed) == (State.QUEUED, True, 0)
    other = Station(Pool.objects.get(pk="clips"), slots=1, finishing=0)
    loop.work(other)
    other.close()
    job.refresh_from_db()
    first, second = job.attempts.order_by("fence")
    assert (first.outcome, first.step) == (Attempt.Outcome.HANDED_BACK, 13)
    assert (second.outcome, second.resumed_from_step) == (Attempt.Outcome.DELIVERED, 13)
    assert job.steps_run == 30
    assert np.array_equal(frames_of(whole, tmp_path), frames_of(job, tmp_path))
    assert Charge.objects.filter(usage_event__subject=str(job.pk)).count() == 1


def test_cancelled_between_steps_and_charged_for_what_ran(station):
    job = submit(tenant("free"))
    ask = lambda state: Job.objects.update(cancel_requested_at=Now())  # noqa: E731
    with at_step(station, 12, ask):
        loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.steps_run, job.charge_micro) == (State.CANCELLED, 12, 120_000)  # 12 of 30 steps
    assert not Asset.objects.exists()


def test_preempted_it_gives_way_after_the_step_and_goes_on_to_the_very_same_frames(station, tmp_path):
    free = tenant("free", credit=10**9)
    whole = submit(tenant("free"), seed=12)  # of others: one's own would be served again
    loop.work(station)
    job = submit(free, seed=12)

    def ask(state):
        assert preemption.request(Attempt.objects.get(job=job).pk, "a Plus clip has waited 40 s")

    with at_step(station, 16, ask):
        loop.run(dispatch.claim(station.worker, "clips"), station)
    job.refresh_from_db()
    assert (job.state, job.ahead_of_lane, job.attempts_failed) == (State.QUEUED, True, 0)
    loop.work(station)
    first, second = job.attempts.order_by("fence")
    assert (first.outcome, first.step, first.return_position) == (Attempt.Outcome.HANDED_BACK, 16, 1)
    assert 0 <= first.yield_ms < 5_000
    assert (second.resumed_from_step, second.step) == (16, 30)
    assert second.preempt_requested_at is None
    assert np.array_equal(frames_of(whole, tmp_path), frames_of(job, tmp_path))


def test_a_paid_clip_that_waited_too_long_gets_the_device_of_a_running_free_one(station):
    free, paid = submit(tenant("free")), []
    terms = PoolSettings.objects.filter(pool="clips")
    terms.update(soon_s=0)  # this model's clips are short: any rest of one is worth taking

    def waits(state):
        paid.append(submit(tenant("plus")))
        Job.objects.filter(pk=paid[0].pk).update(queued_at=timezone.now() - timedelta(seconds=25))
        assert preemption.run(timezone.now()) == [Attempt.objects.get(job=free).pk]

    with at_step(station, 11, waits):
        assert loop.work(station) == 3  # the free one's first turn, the paid one, the free one's second
    first, second = free.attempts.order_by("fence")
    (paid_turn,) = paid[0].attempts.all()
    assert first.fence < paid_turn.fence < second.fence
    assert first.preempt_reason == "a job in clips-plus has waited 25 s"
    assert (first.step, second.resumed_from_step, second.step) == (11, 11, 30)
    assert set(Job.objects.values_list("state", flat=True)) == {State.DELIVERED}


def test_the_record_of_a_job_says_what_was_used_and_when(station):
    job = submit(tenant("free"))
    loop.work(station)
    job.refresh_from_db()
    attempt = job.attempts.get()
    assert job.precision == attempt.precision == job.spec["precision"]
    assert job.peak_memory_bytes == attempt.peak_memory_bytes > 50_000_000
    assert job.checkpoint_bytes == attempt.checkpoint_bytes > 0
    previews = sum(
        default_storage.size(f"previews/{job.pk}/{attempt.fence}/step-00{step}.webp") for step in (10, 20, 30)
    )
    assert (
        job.file_bytes == attempt.file_bytes == previews + sum(Asset.objects.values_list("bytes", flat=True))
    )
    names = [entry[0] for entry in attempt.trace]
    assert names[-5:] == ["decode", "encode", "scan", "sign", "store"]
    starts = [entry[1] for entry in attempt.trace]
    assert starts == sorted(starts)
    for name, seconds in attempt.stages.items():
        spans = sum(end - start for stage, start, end in attempt.trace if stage == name)
        assert spans + 2 >= 1000 * seconds  # between two steps the loop also renews its lease


def test_nan_over_several_prompts_quarantines_the_worker_and_what_waits_is_left_to_others(station):
    free = tenant("free", credit=10**9)
    jobs = [submit(free, prompt=f"a red circle moves right over grass, {n}") for n in range(4)]
    engine = engine_of(station)
    original = type(engine).step

    def stepping(state):
        original(engine, state)
        state.latents = torch.full_like(state.latents, torch.nan)

    engine.step = stepping
    try:
        assert loop.work(station) == 3
    finally:
        del engine.step
    assert sorted(Job.objects.values_list("state", flat=True)) == ["failed"] * 3 + ["queued"]
    assert Hold.objects.filter(state=Hold.State.OPEN).count() == 1
    assert OperationalEvent.objects.get(kind="worker.quarantined").severity == "error"
    assert loop.work(station) == 0
    station.worker.refresh_from_db()
    assert station.worker.desired == "quarantine"
    assert Job.objects.get(pk=jobs[3].pk).attempts.count() == 0


def test_nan_ends_the_job_within_two_steps_and_costs_its_owner_nothing(station):
    job = submit(tenant("free"))

    def poison(state):
        state.latents = state.latents.clone()
        state.latents[0, 0, 0, 0, 0] = torch.nan

    with at_step(station, 7, poison):
        loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.error_code, job.charge_micro) == (State.FAILED, "not_finite", 0)
    assert job.steps_run <= 9
    assert Hold.objects.get().captured == 0
    event = OperationalEvent.objects.get(kind="clip.not_finite")
    assert event.detail["step"] <= 9
    assert event.detail["worker"] == str(station.worker.pk)
    assert job.prompt not in str(event.detail)


@contextmanager
def painted(station: Station, category: str, place: int):
    """One frame of the finished clip shows a canary mark."""
    engine = engine_of(station)
    original = type(engine).decode

    def decode(state):
        frames = original(engine, state)
        frames[place] = canary.paint(frames[place], category)
        return frames

    engine.decode = decode
    yield
    del engine.decode


def test_one_bad_frame_blocks_the_clip_and_nothing_is_charged_or_stored(station):
    job = submit(tenant("free"))
    with painted(station, "child_safety", 8):
        loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.error_code, job.charge_micro) == (State.BLOCKED, "moderation_blocked", 0)
    assert not Asset.objects.exists()
    assert not Credential.objects.exists()
    verdict = Scan.objects.get(purpose="final").verdicts.get(outcome="block")
    assert (verdict.frame_class, verdict.frame_index) == ("child_safety", 8)


def test_a_class_without_a_threshold_blocks_delivery(station):
    job = submit(tenant("free"))
    Threshold.objects.filter(frame_class="violence").delete()
    loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.charge_micro, job.attempts_failed) == (State.FAILED, 0, 3)
    assert not Asset.objects.exists()


def test_signing_down_holds_the_clip_until_it_works_again(station, settings, tmp_path):
    job = submit(tenant("free"))
    good, settings.SIGNING_ROOT = settings.SIGNING_ROOT, tmp_path / "file"
    settings.SIGNING_ROOT.write_text("not a folder")
    loop.work(station)
    job.refresh_from_db()
    assert job.state == State.HELD
    assert Hold.objects.get().state == Hold.State.OPEN
    assert not Asset.objects.exists()
    assert OperationalEvent.objects.filter(kind="signing.unavailable").exists()
    assert held.drain() == 0
    settings.SIGNING_ROOT = good
    assert held.retry_now()
    assert held.drain() == 1
    job.refresh_from_db()
    assert (job.state, job.charge_micro) == (State.DELIVERED, 300_000)
    assert set(Credential.objects.values_list("state", flat=True)) == {"Trusted"}


def test_a_preview_is_shown_only_when_the_gates_passed_it(station):
    submit(tenant("free"))
    loop.work(station)
    attempt = Attempt.objects.get()
    assert attempt.preview.endswith("step-0030.webp")
    assert Scan.objects.filter(purpose="preview", verdict="pass").count() == 3
    assert io.BytesIO(default_storage.open(attempt.preview).read()).read(4) == b"RIFF"
