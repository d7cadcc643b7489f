"""The bridge from what is measured of a clip to what its owner did afterwards. Rows of delivered clips, per revision.

`measure` looks at delivered clips, in a command; `bridges` reads rows only, so that a page may use it.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.core.files.storage import default_storage
from django.db.models import Count, Max

from generation.evaluation.case_records import OnlineMeasure
from generation.models import Asset, Job, Kind, State
from generation.policy.bridge import Correlation, correlation

RETURN_WITHIN = timedelta(days=7)
RETURN_AFTER = timedelta(days=1)  # the same sitting is no return
MISALIGNED_FROM = 3  # requests of one prompt: more than two regenerations' worth
MOST_READ = 5000
SEED = 7


@dataclass(frozen=True)
class Measured:
    """How many clips have a measure now that had none, and how many could not be read."""

    measured: int
    skipped: int


@dataclass(frozen=True)
class Bridge:
    """One revision's two correlations. Alignment should go against regenerations, coherence with return."""

    model: str
    regenerations: Correlation
    misaligned: int  # prompts that were asked for more than twice
    returns: Correlation
    returned: int


def measure(count: int, progress: Callable[[int, int], None]) -> Measured:
    """Measure up to `count` delivered clips that have no measure, newest first."""
    from generation.evaluation import alignment

    judge, done, skipped = alignment.chosen(), 0, 0
    waiting = Asset.objects.filter(
        role="video",
        removed_at=None,
        withheld_at=None,
        job__state=State.DELIVERED,
        job__kind=Kind.CLIP,
        job__measure=None,
        job__repeat_of=None,
    )
    for place, asset in enumerate(waiting.select_related("job").order_by("-pk")[:count]):
        found = _of(asset, judge)
        done, skipped = done + bool(found), skipped + (not found)
        if found:
            OnlineMeasure.objects.get_or_create(job=asset.job, defaults=found)
        progress(place + 1, count)
    return Measured(done, skipped)


def _of(asset: Asset, judge) -> dict | None:
    """What is measured of one clip; None where its file can't be read."""
    from generation.evaluation import alignment, coherence
    from safety.postfilter.frames import EncodedFrames, UnreadableFrames

    spec = asset.job.spec
    try:
        with default_storage.open(asset.path) as file:
            source = EncodedFrames(file.read(), spec["fps"] * spec["seconds"])
        clip = np.concatenate([frames for _, frames in source.batches()])
    except (OSError, UnreadableFrames):
        return None  # counted by the caller; the check of stored files is what alarms
    try:
        rated = judge.rate(asset.job.prompt, clip, spec["fps"])
    except alignment.JudgeUnavailable:
        return None
    return {"alignment": rated, "warp_error": round(coherence.warp_error(clip), 6), "judge": judge.name[:120]}


def bridges(now: datetime) -> list[Bridge]:
    """Per revision, the newest first; three queries, over the newest measures."""
    rows = list(
        OnlineMeasure.objects.select_related("job__model").order_by("-pk").defer("job__spec")[:MOST_READ]
    )
    by_model: dict[int, list[OnlineMeasure]] = defaultdict(list)
    for row in rows:
        by_model[row.job.model_id].append(row)
    asked, last_seen = _asked_for(rows), _last_seen(rows)
    return [
        _bridge(found, asked, last_seen, now)
        for _, found in sorted(by_model.items(), key=lambda pair: -pair[0])
    ]


def _bridge(rows: list[OnlineMeasure], asked: dict, last_seen: dict, now: datetime) -> Bridge:
    first: dict[tuple, OnlineMeasure] = {}
    starts: dict[int, list[OnlineMeasure]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.job.created_at):
        if row.alignment is not None:
            first.setdefault((row.job.organization_id, row.job.model_id, row.job.prompt), row)
        starts[row.job.organization_id].append(row)
    times = [asked.get(key, 1) - 1 for key in first]
    coherent, returned = [], []
    for organization, seen in starts.items():
        began = seen[0].job.created_at
        if began > now - RETURN_WITHIN:
            continue  # the seven days are not over
        sitting = [row.warp_error for row in seen if row.job.created_at <= began + RETURN_AFTER]
        coherent.append(-float(np.mean(sitting)))
        returned.append(float(_came_back(last_seen[organization], began)))
    return Bridge(
        str(rows[0].job.model),
        correlation([row.alignment for row in first.values()], times, random.Random(SEED)),
        sum(count + 1 >= MISALIGNED_FROM for count in times),
        correlation(coherent, returned, random.Random(SEED)),
        int(sum(returned)),
    )


def _came_back(days: Iterable[datetime], began: datetime) -> bool:
    return any(began + RETURN_AFTER < at <= began + RETURN_WITHIN for at in days)


def _asked_for(rows: list[OnlineMeasure]) -> dict[tuple, int]:
    """How often each organization asked a revision for each of the measured prompts."""
    prompts = {row.job.prompt for row in rows}
    found = (
        Job.objects.filter(
            kind=Kind.CLIP, prompt__in=prompts, organization__in={r.job.organization_id for r in rows}
        )
        .values("organization", "model", "prompt")
        .annotate(times=Count("pk"))
    )
    return {(row["organization"], row["model"], row["prompt"]): row["times"] for row in found}


def _last_seen(rows: list[OnlineMeasure]) -> dict[int, list[datetime]]:
    """When each organization asked for clips, at most once a day: the last request of each."""
    found = (
        Job.objects.filter(kind=Kind.CLIP, organization__in={row.job.organization_id for row in rows})
        .values("organization", "created_at__date")
        .annotate(last=Max("created_at"))
    )
    days: dict[int, list[datetime]] = defaultdict(list)
    for row in found:
        days[row["organization"]].append(row["last"])
    return days
