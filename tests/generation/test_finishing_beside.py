"""The next clip starts while the last one is encoded, scanned and signed, and every end is right on that thread too."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.storage import default_storage

from accounts.models import OperationalEvent
from billing.models import Charge
from generation.models import Asset, Attempt, Job, Pool, State, Worker
from generation.worker import finishing, finishing_line, loop
from generation.worker.encoding import decode_frames
from generation.worker.station import Station
from safety.postfilter import canary
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit

pytestmark = pytest.mark.django_db
PATIENCE_S = 90


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.CHECKPOINT_ROOT = tmp_path / "checkpoints"
    settings.WORK_ROOT = tmp_path / "work"


@pytest.fixture
def open_station():
    """Stations that are closed at the end, in the order in which they were opened."""
    opened = []

    def station(finishing: int = 2) -> Station:
        opened.append(Station(Pool.objects.get(pk="clips"), slots=1, finishing=finishing))
        return opened[-1]

    yield station
    for one in opened:
        one.close()


def work(station: Station) -> None:
    """All that waits, to its end."""
    loop.work(station)
    assert station.finishing.wait(PATIENCE_S) == []


@contextmanager
def encoding_waits(monkeypatch, gate: threading.Event):
    """Every clip's encoding begins only once the gate is open."""
    encode = finishing.encode

    def late(frames, fps, path):
        assert gate.wait(PATIENCE_S)
        return encode(frames, fps, path)

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "encode", late)
        yield


def moment(attempt: Attempt, stage: str, end: int = 1):
    """When the attempt first began (or, with `end=2`, ended) a stage, by its trace."""
    entry = next(entry for entry in attempt.trace if entry[0] == stage)
    return attempt.started_at + timedelta(milliseconds=entry[end])


def frames_of(job: Job, tmp_path) -> np.ndarray:
    path = tmp_path / f"{job.pk}.mp4"
    path.write_bytes(default_storage.open(Asset.objects.get(job=job, role="video").path).read())
    return decode_frames(path)


def test_the_next_clip_takes_its_first_steps_before_the_last_one_is_delivered(open_station, monkeypatch):
    station, free = open_station(), tenant("free", credit=10**9)
    first, second = submit(free, seed=1), submit(free, seed=2)
    engine, gate = station.engine(first.model, first.spec["precision"]), threading.Event()

    def stepping(state):
        type(engine).step(engine, state)
        if state.work.seed == 2 and state.index == 3:
            gate.set()  # without two clips at once the first would wait for this for ever

    monkeypatch.setattr(engine, "step", stepping)
    with encoding_waits(monkeypatch, gate):
        work(station)
    before, after = Attempt.objects.get(job=first), Attempt.objects.get(job=second)
    assert {before.outcome, after.outcome} == {Attempt.Outcome.DELIVERED}
    assert before.worker == after.worker
    first.refresh_from_db()
    assert moment(after, "denoise") < first.finished_at
    assert moment(after, "denoise") < moment(before, "encode", end=2) < moment(before, "scan")
    # The device itself was never two clips' at once.
    assert moment(before, "decode", end=2) <= moment(after, "encode_prompt")
    assert [Charge.objects.filter(usage_event__subject=str(job.pk)).count() for job in (first, second)] == [
        1,
        1,
    ]


def test_a_refusal_and_an_absent_signer_end_the_right_clip_beside_the_next_one(
    open_station, monkeypatch, settings, tmp_path
):
    station, free = open_station(), tenant("free", credit=10**9)
    bad, good = submit(free, seed=1), submit(free, seed=2)
    engine = station.engine(bad.model, bad.spec["precision"])

    def painting(state):
        frames = type(engine).decode(engine, state)
        if state.work.seed == 1:
            frames[8] = canary.paint(frames[8], "child_safety")
        return frames

    monkeypatch.setattr(engine, "decode", painting)
    work(station)
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, bad.charge_micro, good.state) == (State.BLOCKED, 0, State.DELIVERED)
    settings.SIGNING_ROOT = tmp_path / "file"
    settings.SIGNING_ROOT.write_text("not a folder")
    unsigned = submit(free, seed=3)
    work(station)
    unsigned.refresh_from_db()
    assert unsigned.state == State.HELD
    assert Asset.objects.filter(role="video").count() == 1


def test_stopping_hands_back_what_is_being_finished_and_another_redoes_no_step(
    open_station, monkeypatch, tmp_path
):
    station, free = open_station(), tenant("free", credit=10**9)
    whole = submit(tenant("free", credit=10**9), seed=4)  # of others: a repeat of one's own is not made again
    work(station)
    job, gate = submit(free, seed=4), threading.Event()
    monkeypatch.setattr("generation.worker.station.FINISH_BEFORE_STOP_S", 0.2)
    with encoding_waits(monkeypatch, gate):
        loop.work(station)
        began = time.monotonic()
        station.close()
        assert time.monotonic() - began < 5
        job.refresh_from_db()
        assert (job.state, job.attempts_failed) == (State.FINISHING, 0)
        gate.set()
        # What the old thread still does is refused under its ended fence.
        assert station.finishing.wait(PATIENCE_S) == []
    assert not Asset.objects.filter(job=job).exists()
    work(open_station())
    first, second = job.attempts.order_by("fence")
    assert (first.outcome, second.outcome) == (Attempt.Outcome.HANDED_BACK, Attempt.Outcome.DELIVERED)
    assert (second.resumed_from_step, second.step) == (30, 30)
    assert "denoise" not in second.stages
    assert np.array_equal(frames_of(whole, tmp_path), frames_of(job, tmp_path))
    assert Charge.objects.filter(usage_event__subject=str(job.pk)).count() == 1


def test_no_more_clips_are_finished_at_once_than_there_are_places(open_station, monkeypatch):
    station, free = open_station(finishing=1), tenant("free", credit=10**9)
    jobs, gate = [submit(free, seed=seed) for seed in (1, 2)], threading.Event()
    monkeypatch.setattr(finishing_line, "RENEW_EVERY_S", 0.05)
    with encoding_waits(monkeypatch, gate):
        device = threading.Thread(target=in_own_connection, args=(station,))
        device.start()
        until(lambda: Attempt.objects.filter(job=jobs[1], stage="waiting").exists())
        assert Job.objects.filter(state=State.FINISHING).count() == 2
        assert len(station.finishing.wait(0)) == 1
        gate.set()
        device.join(PATIENCE_S)
    assert station.finishing.wait(PATIENCE_S) == []
    assert set(Job.objects.values_list("state", flat=True)) == {State.DELIVERED}


def test_a_finishing_thread_that_hangs_stops_the_worker_and_loses_no_clip(open_station, monkeypatch):
    station, free = open_station(finishing=1), tenant("free", credit=10**9)
    jobs, gate = [submit(free, seed=seed) for seed in (1, 2)], threading.Event()
    monkeypatch.setattr(finishing_line, "RENEW_EVERY_S", 0.05)
    monkeypatch.setattr(finishing_line, "STUCK_AFTER_S", 0.2)
    monkeypatch.setattr(finishing_line.os, "kill", lambda pid, number: station.stopping.set())
    with encoding_waits(monkeypatch, gate):
        loop.work(station)
        assert station.stopping.is_set()
        attempt = Attempt.objects.get(job=jobs[1])
        assert (attempt.outcome, attempt.job.state) == (Attempt.Outcome.HANDED_BACK, State.FINISHING)
        event = OperationalEvent.objects.get(kind="worker.finishing_stuck")
        assert event.subject == f"worker:{station.worker.pk}"
        gate.set()
        assert station.finishing.wait(PATIENCE_S) == []
    work(open_station())
    assert set(Job.objects.values_list("state", flat=True)) == {State.DELIVERED}
    assert Attempt.objects.filter(job=jobs[1]).latest("fence").resumed_from_step == 30


def test_a_crash_nobody_foresaw_ends_one_thread_and_its_place_is_free_again(open_station, monkeypatch):
    station, free = open_station(finishing=1), tenant("free", credit=10**9)
    lost = submit(free, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "encode", lambda *_: 1 / 0)
        work(station)
    lost.refresh_from_db()
    assert (lost.state, lost.attempts.get().ended_at) == (State.FINISHING, None)  # until its lease runs out
    fine = submit(free, seed=2)
    work(station)
    fine.refresh_from_db()
    assert fine.state == State.DELIVERED
    assert Worker.objects.get(pk=station.worker.pk).stopped_at is None


def in_own_connection(station: Station) -> None:
    from django.db import connection

    try:
        loop.work(station)
    finally:
        connection.close()


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
