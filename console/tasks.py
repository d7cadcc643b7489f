"""Celery's entries of the console; each makes one call."""

from celery import shared_task
from django.utils import timezone

from console.alarms import measuring, paging, rounds, synthetic
from console.changes import effects
from console.incidents import reckoning
from console.observability.metrics import counting
from console.overview import rounds as rollups
from generation import dispatch


@shared_task
def look_at_alarms() -> None:
    """Every few seconds: a round of alarms, by the database's clock as what they look at."""
    scorer = measuring.scorer_down()
    rounds.run(dispatch.clock(), scorer)


@shared_task
def page() -> None:
    """Every two seconds: a thread of this process begins to tell people what changed."""
    paging.begin()


@shared_task
def make_synthetic_jobs() -> None:
    """Every five minutes: a real job in every pool, by the database's clock."""
    synthetic.run(dispatch.clock())


@shared_task
def measure_effects() -> None:
    """Every half minute: what the changes of five minutes ago moved."""
    effects.run(dispatch.clock())


@shared_task
def forget_alarm_counts() -> None:
    """Hourly: what is older than a day is kept in coarser steps."""
    rounds.forget(timezone.now())


@shared_task
def reckon_incidents() -> None:
    """Every ten seconds: what each open incident costs by now, and whom it met."""
    reckoning.run(dispatch.clock())


@shared_task
def roll_up() -> None:
    """Three times a minute: what happened since is counted for the overview, by the database's clock."""
    rollups.run(dispatch.clock())


@shared_task
def forget_rollups() -> None:
    """Hourly: of what lies far back coarse steps are enough."""
    rollups.forget(timezone.now())


@shared_task
def count_metrics() -> None:
    """Every ten seconds: keep the totals that /metrics tells, up to what is final."""
    counting.run(dispatch.clock())
