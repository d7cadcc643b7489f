"""Who gives way: pure, so every rule has its example and its opposite."""

from dataclasses import replace

from generation.policy.fair_share import LaneView
from generation.policy.preemption import Overdue, Terms, Turn, Yielding, who_yields

PLUS_WAITS = [Overdue("plus", 1, 25.0)]
TERMS = Terms(most=2, soon_s=2.0)


def lane(slug: str, tag: float = 0.0, weight: float = 1.0, *, eligible: bool = True) -> LaneView:
    return LaneView(slug=slug, tag=tag, weight=weight, floor=0.0, recent_gpu_ms=0.0, eligible=eligible)


def turn(attempt_id: int, **changes) -> Turn:
    """A free clip of 60 s that has just begun, claimed at tag 0 and charged 60,000."""
    plain = Turn(
        attempt_id=attempt_id,
        lane="free",
        preemptible=True,
        done=0.1,
        left_s=54.0,
        preemptions=0,
        asked=False,
        charged_gpu_ms=60_000,
        ran_gpu_ms=6_000,
        charged_weight=1.0,
    )
    return replace(plain, **changes)


LANES = [lane("free", tag=60_000), lane("plus", weight=2.0)]


def asked(overdue=PLUS_WAITS, turns=(), idle=0, lanes=LANES, terms=TERMS) -> list[int]:
    return [one.attempt_id for one in who_yields(overdue, list(turns), idle, lanes, 0.0, terms)]


def test_one_waiting_job_takes_one_device_and_says_for_whom():
    found = who_yields(PLUS_WAITS, [turn(1), turn(2)], 0, LANES, 0.0, TERMS)
    assert found == [Yielding(2, "plus", 25.0)]


def test_nobody_yields_where_nobody_waits_too_long_or_a_device_is_idle():
    assert asked(overdue=[], turns=[turn(1)]) == []
    assert asked(turns=[turn(1)], idle=1) == []


def test_a_device_that_is_soon_free_or_was_asked_for_already_serves_the_first_of_them():
    assert asked(turns=[turn(1), turn(2, left_s=1.5)]) == []
    assert asked(turns=[turn(1), turn(2, asked=True)]) == []
    assert asked(turns=[turn(1), turn(2, left_s=2.5, done=0.9)]) == [1]
    # A paid clip that is nearly done is a device too, although it is never asked.
    assert asked(turns=[turn(1), turn(2, lane="plus", preemptible=False, left_s=0.5)]) == []


def test_each_waiting_job_takes_one_and_there_is_an_end():
    three, lanes = [Overdue("plus", 3, 40.0)], [lane("free", tag=300_000), lane("plus", weight=2.0)]
    assert asked(overdue=three, turns=[turn(n) for n in range(5)], lanes=lanes) == [4, 3, 2]
    assert asked(overdue=three, turns=[turn(n) for n in range(2)], lanes=lanes) == [1, 0]


def test_the_least_weight_first_then_the_least_done_then_the_newest():
    lanes = [lane("free", tag=300_000), lane("student", tag=300_000, weight=1.5), lane("plus", weight=2.0)]
    turns = [turn(1, lane="student", done=0.0), turn(2, done=0.5), turn(3, done=0.3), turn(4, done=0.3)]
    assert asked(overdue=[Overdue("plus", 4, 30.0)], turns=turns, lanes=lanes) == [4, 3, 2, 1]


def test_paid_jobs_and_jobs_that_gave_way_often_enough_are_left_alone():
    assert asked(turns=[turn(1, lane="plus", preemptible=False)]) == []
    assert asked(turns=[turn(1, preemptions=2)]) == []
    assert asked(turns=[turn(1, preemptions=1)]) == [1]
    assert asked(turns=[turn(1)], terms=Terms(most=0, soon_s=2.0)) == []


def test_nobody_yields_in_vain():
    # Plus has had more than its share: the next claim would be free's again, so nothing is interrupted.
    greedy = [lane("free", tag=60_000), lane("plus", tag=500_000, weight=2.0)]
    assert asked(turns=[turn(1)], lanes=greedy) == []
    # What runs of the clip stays charged: with 40 s of it run, its lane stands at 40,000, and Plus comes first again.
    level = [lane("free", tag=60_000), lane("plus", tag=30_000, weight=2.0)]
    assert asked(turns=[turn(1, ran_gpu_ms=40_000)], lanes=level) == [1]
    assert asked(turns=[turn(1, ran_gpu_ms=20_000)], lanes=level) == []


def test_the_second_interruption_sees_the_tags_that_the_first_one_left():
    # One more job takes Plus to 30,000 + 60,000/2 = 60,000; free's second refund puts it at 12,000: its turn.
    lanes = [lane("free", tag=120_000), lane("plus", tag=40_000, weight=2.0)]
    turns = [turn(1, ran_gpu_ms=6_000), turn(2, ran_gpu_ms=6_000)]
    assert asked(overdue=[Overdue("plus", 2, 30.0)], turns=turns, lanes=lanes) == [2]
