"""Clips a minute when each is encoded, scanned and signed beside the next one's steps, beside a device that waits.

One worker and the shipped model on this machine; on a CPU both share its cores, so what is gained is what was idle.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from uuid import uuid4

from django.conf import settings
from django.test.utils import override_settings

from accounts import organizations
from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import User
from bench.harness import Figure, Run, seconds
from bench.scoring import scoring
from billing import ledger
from generation import admission
from generation.models import Attempt, Pool
from generation.worker import loop
from generation.worker.station import Station

CLIPS = 4
REPEATS = 3  # each is several clips long
CREDIT_MICRO = 10**12
FINISHED_WITHIN_S = 300


def measure(run: Run) -> Iterable[Figure]:
    """`clips_per_minute` and `step_ms`, with clips finished beside the device against one after the other."""
    with (
        scoring(),
        tempfile.TemporaryDirectory() as folder,
        override_settings(CHECKPOINT_ROOT=Path(folder) / "checkpoints", WORK_ROOT=Path(folder) / "work"),
    ):
        caller = _caller()
        steps: dict[int, list[float]] = {0: [], settings.FINISHING_PLACES: []}
        stations = {places: Station(Pool.objects.get(pk="clips"), 1, places) for places in steps}
        try:
            beside, waiting = replace(run, repeats=REPEATS).beside(
                lambda: _rate(stations[settings.FINISHING_PLACES], caller, steps),
                lambda: _rate(stations[0], caller, steps),
            )
        finally:
            for station in stations.values():
                station.close()
        reference = "the device waits while a clip is finished"
        yield Figure("clips_per_minute", beside, "clips/min", reference, waiting)
        step_ms = [1000 * median(steps[places]) for places in (settings.FINISHING_PLACES, 0)]
        yield Figure("step_ms", step_ms[0], "ms", reference, step_ms[1])


def _caller() -> Caller:
    name = f"bench-{uuid4().hex[:8]}"
    owner = User.objects.create_user(f"{name}@example.com")
    organization = organizations.create(name, "plus", owner)
    ledger.grant(
        organization.pk, CREDIT_MICRO, bucket="purchased", idempotency_key=name, reason="a benchmark"
    )
    return Caller(organization, owner, None, ROLE_SCOPES["owner"])


def _rate(station: Station, caller: Caller, steps: dict[int, list[float]]) -> float:
    """Clips a minute over a few that wait already; seconds per step go to `steps`."""
    jobs = [
        admission.submit_clip(caller, {"prompt": "a red ball rolls over grass", "seed": seed})
        for seed in range(CLIPS)
    ]
    took = seconds(lambda: _work(station))
    for attempt in Attempt.objects.filter(job__in=jobs).select_related("job"):
        steps[station.finishing.places].append(attempt.stages["denoise"] / attempt.job.steps)
    return 60 * CLIPS / took


def _work(station: Station) -> None:
    loop.work(station)
    late = station.finishing.wait(FINISHED_WITHIN_S)
    if late:
        raise RuntimeError(f"{len(late)} clips were not finished within {FINISHED_WITHIN_S} s")
