"""Each alarm on replayed days: silent over 30 healthy ones, in time on a fault, clear afterwards."""

from dataclasses import replace

import pytest

from console.alarms.policy import chance
from console.alarms.policy.catalog import ALARMS, BY_NAME
from console.alarms.policy.conditions import ESCALATES, FIRES, Happened, Level, Seen, Terms
from console.alarms.policy.history import Recorded
from console.alarms.policy.replay import everywhere, replay
from console.alarms.policy.standing import QUIET, Change, advance
from tests.console.alarms.days import Days
from tests.console.alarms.faults import FAULTS

MINUTE, HOUR = 60, 3600
BEGIN = 2 * HOUR
# Of a drift, a bypass or an unsafe delivery one is enough, and levels count no jobs.
COUNTED = [alarm for alarm in ALARMS if not isinstance(alarm.condition, Happened | Level)]
TERMS = Terms(True, 60, 20, 120, 20, 60, 3)


@pytest.fixture(scope="module")
def healthy() -> Recorded:
    """30 days with a 0.1 % NaN background, quiet nights (a clip in eight minutes), two deploys a day, and the small
    hitches of all that alarms look at."""
    return Days(30, 30).recorded()


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_thirty_healthy_days_page_nobody(alarm, healthy):
    changes = everywhere(alarm.condition, alarm.terms, healthy)
    assert changes
    assert not any(changes.values())


def fault(days: Days, name: str, begin: int, last: int) -> None:
    """Write one fault into the days."""
    FAULTS[name].write(days, days.span(begin, last))


def test_every_alarm_has_a_fault_that_is_replayed():
    """A new alarm comes with the fault that it is for, and what it looks at is in the healthy days."""
    assert set(FAULTS) == set(BY_NAME)
    assert [alarm.name for alarm in ALARMS if (alarm.within_s or FAULTS[alarm.name].within_s) is None] == []
    kept = Days(0.01, 60).recorded()
    measured = {measure for measure, _ in (*kept.bad, *kept.levels)}
    assert set().union(*(alarm.condition.measures() for alarm in ALARMS)) <= measured


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_a_fault_fires_in_time_and_clears_afterwards(alarm):
    days, one = Days(0.5, 5, seed=11, per_s=1.0), FAULTS[alarm.name]
    fault(days, alarm.name, BEGIN, one.last_s)
    found = [
        change
        for changes in everywhere(alarm.condition, alarm.terms, days.recorded()).values()
        for change in changes
    ]
    assert found[0].change == Change.OPENED
    assert BEGIN <= found[0].at <= BEGIN + (alarm.within_s or one.within_s)
    assert [change.change for change in found].count(Change.OPENED) == 1
    assert found[-1].change == Change.CLEARED
    ended = BEGIN if alarm.name in days.events else BEGIN + one.last_s
    assert ended < found[-1].at <= ended + one.over_s


def test_a_burn_clears_when_its_windows_have_passed():
    days = Days(4, 60, seed=3, per_s=1.0)
    span = days.span(12 * HOUR, 3 * MINUTE)
    days.failed[span] = days.of(days.ended[span], 0.9)
    days.delivered[span] = days.ended[span] - days.failed[span]
    alarm = BY_NAME["availability"]
    changes = replay(alarm.condition, alarm.terms, days.recorded())
    assert [change.change for change in changes] == [Change.OPENED, Change.CLEARED]
    assert changes[0].level == ESCALATES
    assert changes[1].at < 12 * HOUR + 8 * HOUR


@pytest.mark.parametrize("alarm", COUNTED, ids=lambda alarm: alarm.name)
def test_one_failure_among_five_jobs_pages_nobody(alarm):
    history = Recorded(0.0, 10, 360)
    bad, total = [0] * 360, [0] * 360
    for step in (3, 10, 17, 24, 29):
        total[step] = 1
    bad[17] = 1
    history.count(alarm.condition.subject, "", bad, total)
    history.stand("plus_waiting", "", [1.0] * 360)
    assert replay(alarm.condition, alarm.terms, history) == []


def test_three_of_five_clips_that_are_not_finite_do_page():
    history = Recorded(0.0, 10, 30)
    history.count(
        "not_finite", "", [0] * 20 + [1, 1, 1] + [0] * 7, [0] * 10 + [1, 1] + [0] * 8 + [1] * 3 + [0] * 7
    )
    alarm = BY_NAME["not_finite"]
    changes = replay(alarm.condition, alarm.terms, history)
    assert [(change.change, change.level, change.value) for change in changes] == [
        (Change.OPENED, ESCALATES, 0.6)
    ]


def test_a_storm_of_one_clip_in_ten_takes_a_second_person():
    days = Days(0.25, 5, seed=5, per_s=20.0)
    fault(days, "not_finite", BEGIN, 10 * MINUTE)
    changes = replay(BY_NAME["not_finite"].condition, BY_NAME["not_finite"].terms, days.recorded())
    assert [change.change for change in changes] == [Change.OPENED, Change.ESCALATED, Change.CLEARED]
    assert changes[0].at <= BEGIN + 20
    assert changes[1].level == ESCALATES


def test_it_opens_only_after_its_duration_and_one_look_below_begins_anew():
    at = {0: 61, 10: 61, 20: 59, 30: 61, 40: 61, 50: 61}
    standing, told = QUIET, []
    for now, value in at.items():
        standing, change = advance(standing, Seen(value, int(value > 60), well=value <= 20), TERMS, now)
        told += [change.change] if change else []
    assert told == [Change.OPENED]
    assert (standing.opened_at, standing.over_since, standing.level) == (50, 30, FIRES)


def test_between_threshold_and_well_it_stays_and_well_has_to_last():
    values = [70, 70, 70, 50, 65, 50, 15, 25, 15, 15, 15, 15, 15, 15, 15, 15]
    standing, told = QUIET, []
    for number, value in enumerate(values):
        seen = Seen(value, int(value > 60), well=value <= 20)
        standing, change = advance(standing, seen, TERMS, number * 10.0)
        told += [(change.change, change.at)] if change else []
    assert told == [(Change.OPENED, 20.0), (Change.CLEARED, 140.0)]


def test_it_keeps_its_worst_value_and_highest_level():
    standing, _ = advance(QUIET, Seen(70, FIRES, well=False), replace(TERMS, for_s=0), 0)
    standing, change = advance(standing, Seen(150, ESCALATES, well=False), TERMS, 10)
    assert (change.change, change.level) == (Change.ESCALATED, ESCALATES)
    standing, change = advance(standing, Seen(70, FIRES, well=False), TERMS, 20)
    assert (change, standing.level, standing.peak) == (None, ESCALATES, 150)


def test_switched_off_it_says_nothing_and_clears_what_was_open():
    off = replace(TERMS, enabled=False)
    assert advance(QUIET, Seen(500, ESCALATES, well=False), off, 0) == (QUIET, None)
    opened, _ = advance(QUIET, Seen(500, ESCALATES, well=False), replace(TERMS, for_s=0), 0)
    after, change = advance(opened, Seen(500, ESCALATES, well=False), off, 10)
    assert (after, change.change) == (QUIET, Change.CLEARED)


def test_a_quiet_hour_without_backlog_is_no_fall():
    days = Days(0.25, 10, seed=2, per_s=1.0)
    span = days.span(BEGIN, 30 * MINUTE)
    days.delivered[span], days.waiting[span] = 0, 0
    alarm = BY_NAME["plus_completions"]
    assert replay(alarm.condition, alarm.terms, days.recorded(), "clips") == []


def test_a_category_that_is_usually_rejected_is_no_spike():
    days = Days(0.5, 10, seed=4, per_s=1.0)
    days.rejected = days.of(days.delivered, 0.3)
    days.rejected[days.span(6 * HOUR, 600)] = days.delivered[days.span(6 * HOUR, 600)]
    alarm = BY_NAME["rejections"]
    late = 3 * HOUR // 10  # once there is a history to know it by
    assert replay(alarm.condition, alarm.terms, days.recorded(), "benign", late) == []


@pytest.mark.parametrize(
    ("count", "expected", "at_least", "at_most"),
    [  # scipy.stats.poisson, sf(count - 1) and cdf(count)
        (0, 0.4, 1.0, 0.6703200460356393),
        (3, 0.005, 2.0755364366551777e-08, 0.9999999999740623),
        (8, 0.4, 1.1399697102342548e-08, 0.9999999994956636),
        (30, 60.0, 0.9999931237350312, 1.4174343333492149e-05),
        (80, 60.0, 0.007817918139045303, 0.9943683498401055),
        (950, 900.0, 0.05042799088149298, 0.9528809819798009),
        (1400, 1200.0, 9.867083381033698e-09, 0.9999999915823928),
    ],
)
def test_the_tails_of_the_poisson_distribution_are_exact(count, expected, at_least, at_most):
    assert chance.at_least(count, expected) == pytest.approx(at_least, rel=1e-6, abs=1e-12)
    assert chance.at_most(count, expected) == pytest.approx(at_most, rel=1e-6, abs=1e-7)


def test_every_alarm_is_named_once_and_its_settings_are_in_order():
    assert len({alarm.name for alarm in ALARMS}) == len(ALARMS)
    for alarm in ALARMS:
        terms, sign = alarm.terms, 1 if alarm.condition.rising else -1
        assert sign * terms.healthy <= sign * terms.threshold
        assert terms.escalate is None or sign * terms.threshold <= sign * terms.escalate
