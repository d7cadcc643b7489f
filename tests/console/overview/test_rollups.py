"""Roll-ups hold what the rows hold: at every grain, however often they are counted, and whatever arrives late."""

import io
from collections import Counter
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from console.models import Rollup, WaitingAges
from console.overview import rounds
from console.overview.policy import grains
from console.overview.policy.grains import DAY, GRAINS, HOUR, MINUTE
from console.overview.policy.spread import size, spread_of
from generation import dispatch
from generation.models import Attempt, Job, JobEvent
from tests.console.overview import past
from tests.console.people import clip, person
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
ENDS = ("delivered", "failed", "blocked", "cancelled")


def recomputed() -> None:
    now = dispatch.clock()
    rounds.recompute(now - timedelta(hours=3), now, lambda line: None)


def whole_ms(took: timedelta) -> int:
    """A half counts up, as PostgreSQL has it; Python's own rounding takes every other one down."""
    return (took // timedelta(microseconds=1) + 500) // 1000


def test_counts_and_histograms_are_those_of_the_rows_at_every_grain():
    past.many_fates(12, 7, past.hour_ago() - timedelta(minutes=30), timedelta(minutes=80))
    recomputed()
    events = list(JobEvent.objects.select_related("job"))
    ends = Counter(event.to_state for event in events if event.to_state in ENDS)
    started = list(Job.objects.exclude(started_at=None))
    waits = [whole_ms(job.started_at - job.queued_at) for job in started]
    done = [event.job for event in events if event.to_state == "delivered"]
    times = [whole_ms(job.finished_at - job.queued_at) for job in done]
    spent = sum(Attempt.objects.filter(job__finished_at__isnull=False).values_list("gpu_ms", flat=True))
    assert len(events) > 200
    for grain in GRAINS:
        found = past.sums(grain)
        assert found["submitted"] == sum(event.from_state == "" for event in events) == Job.objects.count()
        assert {name: found[name] for name in ENDS} == dict(ends)
        assert found["ended"] == sum(ends.values())
        assert found["not_finite"] == found["failed:not_finite"] == ends["failed"]
        assert found["started"] == len(started)
        assert past.spread("wait", grain) == spread_of(waits)
        assert found["wait.sum"] == sum(waits)
        assert past.spread("time", grain) == spread_of(times)
        assert found["gpu_ms"] == spent
        assert found["used_micro"] == sum(job.charge_micro or 0 for job in Job.objects.all())
        assert found["retries"] == 1
        assert size(past.spread("tax", grain)) == found["submitted"]


def test_each_row_is_counted_in_its_own_minute_and_lane():
    _, plus = person(tier="plus")
    job = past.at(deliver(clip(plus)), past.hour_ago() + timedelta(seconds=30))
    recomputed()
    minute = grains.floor(job.finished_at, MINUTE)
    row = Rollup.objects.get(grain=MINUTE, counts__has_key="delivered")
    assert (row.at, row.pool, row.tier, row.model) == (minute, "clips", "plus", job.model.name)
    day = Rollup.objects.get(grain=DAY, tier="plus")
    assert (day.at, day.counts["delivered"]) == (grains.floor(minute, DAY), 1)


def test_counting_again_changes_nothing_and_a_round_counts_what_recomputing_counts():
    past.many_fates(3, 1, past.hour_ago(), timedelta(minutes=50))
    now = dispatch.clock()
    while rounds.run(now) > 11:  # the gap of a day, an hour at a time
        pass
    begun = grains.floor(now - rounds.FIRST_LOOK, HOUR)
    by_rounds = past.everything()
    rounds.run(now)
    assert past.everything() == by_rounds
    rounds.recompute(now - rounds.FIRST_LOOK, now, lambda line: None)
    kept = [row for row in past.everything() if row[0][0] == DAY or row[0][1] >= begun]
    assert kept == by_rounds
    rounds.recompute(now - timedelta(hours=1), now, lambda line: None)
    assert [row for row in past.everything() if row[0][0] == DAY or row[0][1] >= begun] == by_rounds


def test_a_round_counts_what_is_new_alone():
    now = dispatch.clock()
    while rounds.run(now) > 11:
        pass
    later = now + timedelta(minutes=12)
    assert rounds.run(later) <= 13
    assert rounds.run(later) <= 2  # the minute that lasts, and the one before while workers still report
    assert "submitted" not in past.sums()


def test_a_row_that_comes_late_is_counted_in_the_minute_it_belongs_to():
    now = dispatch.clock()
    rounds.recompute(now - timedelta(hours=5), now, lambda line: None)
    _, plus = person(tier="plus")
    job = deliver(clip(plus))
    hours_ago = now - timedelta(hours=3)
    past.at(job, hours_ago)  # its events have the newest numbers, and a time that was counted long since
    later = now + timedelta(minutes=11)
    rounds.run(now + timedelta(minutes=5))
    assert rounds.run(later) is not None
    (row,) = Rollup.objects.filter(grain=HOUR, at=grains.floor(hours_ago, HOUR), tier="plus")
    assert (row.counts["submitted"], row.counts["delivered"]) == (1, 1)
    assert past.sums(DAY)["delivered"] == 1


def test_who_waited_is_kept_with_its_age_and_does_not_add_up():
    _, plus = person(tier="plus")
    waits = past.at(clip(plus, "a red square"), past.hour_ago())
    gone = past.at(past.cancelled(plus), past.hour_ago() + timedelta(seconds=30))
    with past.past_triggers():
        past.later(gone.pk, 60)  # cancelled two minutes after it was queued
    recomputed()
    at = {row.at: row.ages for row in WaitingAges.objects.filter(tier="plus")}
    first = past.hour_ago() + timedelta(minutes=1)
    assert at[first - timedelta(minutes=1)] == {"0": 1}
    assert at[first] == {str(key): 1 for key in spread_of([60_000, 30_000])}
    assert sum(at[first + timedelta(minutes=1)].values()) == 2
    assert sum(at[first + timedelta(minutes=2)].values()) == 1
    last = max(at)
    assert at[last] == {str(key): 1 for key in spread_of([(last - waits.queued_at).total_seconds() * 1000])}


def test_fleet_time_is_that_of_workers_and_attempts():
    _, plus = person(tier="plus")
    job = past.at(deliver(clip(plus)), past.hour_ago() + timedelta(seconds=50))
    attempt = Attempt.objects.get(job=job)
    with past.past_triggers():
        begun = past.hour_ago() + timedelta(seconds=59)
        Attempt.objects.filter(pk=attempt.pk).update(gpu_ms=3_000, started_at=begun)
        type(attempt.worker).objects.filter(pk=attempt.worker_id).update(
            started_at=past.hour_ago(), seen_at=past.hour_ago() + timedelta(seconds=90), slots=2
        )
    recomputed()
    busy = Rollup.objects.filter(grain=MINUTE, counts__has_key="busy_ms").order_by("at")
    assert [row.counts["busy_ms"] for row in busy] == [1_000, 2_000]
    ready = Rollup.objects.filter(grain=MINUTE, counts__has_key="capacity_ms").order_by("at")
    assert [row.counts["capacity_ms"] for row in ready] == [120_000, 60_000]


def test_what_lies_far_back_is_kept_in_coarse_steps():
    _, plus = person(tier="plus")
    past.at(deliver(clip(plus)), timezone.now() - timedelta(days=20))
    recomputed_since = dispatch.clock() - timedelta(days=20)
    rounds.recompute(recomputed_since, recomputed_since + timedelta(days=1), lambda line: None)
    rounds.forget(dispatch.clock())
    assert sorted({row.grain for row in Rollup.objects.filter(counts__has_key="delivered")}) == [
        600,
        HOUR,
        DAY,
    ]


def test_the_command_counts_from_the_rows_and_refuses_what_is_no_past():
    _, plus = person(tier="plus")
    past.at(deliver(clip(plus)), past.hour_ago())
    printed = io.StringIO()
    call_command("rollups", since=(timezone.now() - timedelta(hours=2)).isoformat(), stdout=printed)
    assert "minutes counted from their rows" in printed.getvalue()
    assert past.sums(HOUR)["delivered"] == 1
    for wrong in ("soon", "2999-01-01", "1999-01-01"):
        with pytest.raises(CommandError):
            call_command("rollups", since=wrong)
