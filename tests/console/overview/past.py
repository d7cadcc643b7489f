"""Jobs of every fate, moved into the past, for tests of what the overview counts."""

from datetime import datetime, timedelta
from random import Random

from django.db import connection
from django.utils import timezone

from accounts.identity import Caller
from accounts.models import OperationalEvent
from console.models import Rollup
from console.overview.policy.grains import MINUTE
from generation import cancellation, finalization
from generation.finalization import Ran
from generation.models import Attempt, Job, JobEvent
from tests.console.crowd import crowd, past_triggers
from tests.console.people import clip, person
from tests.generation.api_stage import claimed, deliver

# What moves with a job, by table: its columns of time.
TIMES = {
    "generation_job": ("id", ("created_at", "queued_at", "started_at", "finished_at", "state_at")),
    "generation_jobevent": ("job_id", ("at",)),
    "generation_attempt": ("job_id", ("started_at", "ended_at", "lease_expires_at")),
}


def moved(job_id, by: timedelta) -> None:
    """All of a job happened so much earlier or later; inside `past_triggers`."""
    with connection.cursor() as cursor:
        for table, (key, columns) in TIMES.items():
            sets = ", ".join(f"{column} = {column} + %(by)s" for column in columns)
            cursor.execute(f"UPDATE {table} SET {sets} WHERE {key} = %(job)s", {"by": by, "job": job_id})  # noqa: S608


def at(job: Job, moment: datetime) -> Job:
    """The job as if it had been submitted then."""
    with past_triggers():
        moved(job.pk, moment - Job.objects.get(pk=job.pk).queued_at)
    return Job.objects.get(pk=job.pk)


def broken(caller: Caller) -> Job:
    """A clip whose first attempt was lost, delivered by its second."""
    job = clip(caller, "a red circle")
    _, lease = claimed()
    finalization.attempt_failed(lease, Ran(gpu_ms=700, steps=3), "a test broke it")
    return deliver(job)


def not_finite(caller: Caller) -> Job:
    clip(caller, "a blue circle")
    _, lease = claimed()
    return finalization.fail(lease, Ran(gpu_ms=77, steps=1), "not_finite", "Not finite.")


def blocked(caller: Caller) -> Job:
    clip(caller, "a green circle")
    _, lease = claimed()
    return finalization.block(lease, Ran(gpu_ms=300, steps=2), "a mark was seen", "violence")


def cancelled(caller: Caller) -> Job:
    job = clip(caller, "a grey circle")
    return cancellation.cancel(job, "a test cancelled it")


def every_fate() -> list[Job]:
    """One job of each end, by two tiers, and one that waits."""
    _, pro = person(tier="pro")
    _, plus = person(tier="plus")
    ended = [
        broken(pro),
        deliver(clip(pro, "a white circle")),
        not_finite(plus),
        blocked(plus),
        cancelled(plus),
    ]
    return [*ended, clip(plus, "a red square")]


def many_fates(copies: int, seed: int, since: datetime, span: timedelta) -> None:
    """Each fate many times over, at random moments of a span."""
    chance = Random(seed)
    jobs = every_fate()
    for organization in {job.organization for job in jobs}:
        crowd(organization, copies)
    with past_triggers():
        for job in Job.objects.all():
            moment = since + timedelta(seconds=chance.uniform(0, span.total_seconds()))
            moved(job.pk, moment - job.queued_at)
            later(job.pk, chance.uniform(0, 200))
    for event in OperationalEvent.objects.filter(kind="attempt.failed"):
        with past_triggers():
            OperationalEvent.objects.filter(pk=event.pk).update(at=since + span / 2)


def later(job_id, seconds: float) -> None:
    """Whatever came after the job was queued came so much later; inside `past_triggers`."""
    by = timedelta(seconds=seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE generation_job SET started_at = started_at + %s, finished_at = finished_at + %s WHERE id = %s",
            [by, by * 2, job_id],
        )
        cursor.execute(
            "UPDATE generation_jobevent SET at = at + CASE to_state WHEN 'running' THEN %s::interval ELSE %s END"
            " WHERE job_id = %s AND from_state <> ''",
            [by, by * 2, job_id],
        )


def sums(grain: int = MINUTE, **only) -> dict[str, int]:
    """Every count of a grain, added up."""
    found: dict[str, int] = {}
    for counts in Rollup.objects.filter(grain=grain, **only).values_list("counts", flat=True):
        for name, count in counts.items():
            found[name] = found.get(name, 0) + count
    return found


def spread(name: str, grain: int = MINUTE, **only) -> dict[int, int]:
    """One histogram of a grain, merged."""
    found: dict[int, int] = {}
    for spreads in Rollup.objects.filter(grain=grain, **only).values_list("spreads", flat=True):
        for bucket, count in spreads.get(name, {}).items():
            found[int(bucket)] = found.get(int(bucket), 0) + count
    return found


def everything() -> list[tuple]:
    """All roll-ups, to see whether two are the same."""
    columns = ("grain", "at", "pool", "tier", "model", "counts", "spreads")
    return sorted(
        (tuple(row[:5]), repr(sorted(row[5].items())), repr(sorted(row[6].items())))
        for row in Rollup.objects.values_list(*columns)
    )


def hour_ago() -> datetime:
    return timezone.now().replace(second=0, microsecond=0) - timedelta(hours=1)


def newest_event() -> int:
    return JobEvent.objects.latest("pk").pk


def attempts() -> int:
    return Attempt.objects.count()
