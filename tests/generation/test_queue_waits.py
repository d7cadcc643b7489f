"""Queue wait per tier: exact quantiles, and jobs that still wait count with their age."""

from datetime import timedelta

import pytest
from django.utils import timezone

from generation.models import Job
from generation.scheduling import queue_waits
from tests.console.people import clip, person

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0)


def waited(tier: str, *, queued_s: float, started_s: float | None, owner=None) -> Job:
    """A clip that was queued so many seconds ago and started so many seconds ago, or still waits."""
    job = clip(owner or person(tier=tier)[1])
    started = None if started_s is None else NOW - timedelta(seconds=started_s)
    Job.objects.filter(pk=job.pk).update(queued_at=NOW - timedelta(seconds=queued_s), started_at=started)
    return job


def latest(tier: str) -> queue_waits.Wait:
    return queue_waits.per_tier("clips", NOW)[tier][-1]


def test_quantiles_are_over_what_started_in_the_window_and_what_still_waits():
    waited("plus", queued_s=100, started_s=90)  # waited 10 s
    waited("plus", queued_s=100, started_s=80)  # waited 20 s
    waited("plus", queued_s=60, started_s=None)  # waits for 60 s already
    wait = latest("plus")
    assert (wait.at, wait.jobs) == (NOW, 3)
    assert wait.p50_s == pytest.approx(20.0)
    assert wait.p95_s == pytest.approx(20 + 0.9 * 40)


def test_a_starving_job_shows_however_long_ago_it_came():
    waited("free", queued_s=4_000, started_s=None)
    series = queue_waits.per_tier("clips", NOW)["free"]
    assert len(series) == 61
    assert series[-1].p95_s == pytest.approx(4_000)
    assert series[0].p95_s == pytest.approx(400)


def test_a_start_outside_the_window_no_longer_counts_and_tiers_are_apart():
    waited("free", queued_s=400, started_s=301)
    waited("plus", queued_s=20, started_s=15)
    series = queue_waits.per_tier("clips", NOW)
    assert series["plus"][-1].p50_s == pytest.approx(5)
    assert all(wait.at < NOW for wait in series["free"])


def test_a_job_that_was_cancelled_while_it_waited_stops_counting_when_it_ended():
    job = waited("plus", queued_s=600, started_s=None)
    Job.objects.filter(pk=job.pk).update(
        state="cancelled", state_cause="test", finished_at=NOW - timedelta(seconds=120), charge_micro=0
    )
    series = queue_waits.per_tier("clips", NOW)["plus"]
    assert series[-1].at == NOW - timedelta(seconds=180)


def test_nothing_waited_means_no_figures():
    assert queue_waits.per_tier("clips", NOW) == {}
    assert queue_waits.per_lane_now("code", NOW) == {}


def test_a_flood_waits_long_for_its_jobs_and_short_for_its_turns():
    flooder = person(tier="plus")[1]
    for started_s in (290, 200, 110, 20):
        waited("plus", queued_s=1_000, started_s=started_s, owner=flooder)
    for _ in range(5):
        waited("plus", queued_s=900, started_s=None, owner=flooder)  # one turn that lasts, for 20 s
    # The first start was 710 s after it was queued, and nothing of its owner started before it.
    assert turns() == pytest.approx(quantile_95([710, 90, 90, 90, 20]))
    assert queue_waits.per_lane_now("clips", NOW)["clips-plus"].p95_s > 800


def test_whoever_waits_behind_a_flood_counts_in_full():
    flooder = person(tier="plus")[1]
    for started_s in (250, 150, 50):
        waited("plus", queued_s=300, started_s=started_s, owner=flooder)
    waited("plus", queued_s=240, started_s=None)
    assert turns() == pytest.approx(quantile_95([50, 100, 100, 240]))


def test_a_start_long_before_the_window_still_begins_a_turn():
    busy = person(tier="plus")[1]
    waited("plus", queued_s=3_000, started_s=900, owner=busy)
    waited("plus", queued_s=3_000, started_s=None, owner=busy)
    assert turns() == pytest.approx(900)


def turns() -> float:
    return queue_waits.turns_p95_s("clips", NOW)["clips-plus"]


def quantile_95(waits: list[float]) -> float:
    place = 0.95 * (len(waits) - 1)
    low, ordered = int(place), sorted(waits)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(waits) - 1)] - ordered[low])
