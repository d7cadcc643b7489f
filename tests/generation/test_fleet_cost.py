"""The published figures of the cost model, exactly; and that its own arithmetic holds together."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.policy.fleet_cost import bad_day, clip, published, sandbox
from generation.policy.fleet_cost.bad_day import IN_FLIGHT, PER_SECOND, Events, Fleet
from generation.policy.fleet_cost.sandbox import Question, answer

DOLLAR = 1_000_000
PRESETS = {preset.key: preset for preset in published.PRESETS}


def test_the_baseline_of_the_sandbox():
    found = answer(Question())
    assert found.effective_per_s == 19
    assert found.gpus == 4_000
    assert found.hour_micro_dollars == 14_000 * DOLLAR
    assert found.month_micro_dollars == 10_220_000 * DOLLAR
    assert found.request_micro_dollars == 194_444
    assert found.generated_micro_dollars == 204_678
    assert (found.latency_factor, found.bottleneck) == (1.0, "balanced")


@pytest.mark.parametrize(
    ("target", "gpus", "word"),
    [
        ("30", 8_000, "latency"),
        ("1", 8_000, "latency"),  # the factor is at most 2
        ("120", 4_000, "balanced"),
        ("480", 2_000, "cost"),
        ("10000", 2_000, "cost"),  # and at least ½
        ("109", 4_197, "balanced"),  # 1.0492…: 4,196.98 devices
        ("108", 4_217, "latency"),  # 1.0541…
        ("132", 3_814, "balanced"),  # 0.9535…
        ("133", 3_800, "cost"),  # 0.9499…
    ],
)
def test_a_latency_target_moves_devices_and_the_bottleneck(target, gpus, word):
    found = answer(Question(p99_target_s=Decimal(target)))
    assert found.bottleneck == word
    assert found.gpus == gpus


def test_devices_are_whole_and_exact_where_the_root_is():
    # 28.5 effective of 19, at (2/3)² of the reference: 4,000 × 1.5 × ⅔ is 4,000 and not 4,001.
    assert (
        answer(Question(per_s=Decimal("28.5"), cache_hits=Decimal(0), p99_target_s=Decimal(270))).gpus
        == 4_000
    )
    assert answer(Question(per_s=Decimal("0.001"))).gpus == 1
    all_cached = answer(Question(cache_hits=Decimal(1)))
    assert (all_cached.gpus, all_cached.hour_micro_dollars, all_cached.generated_micro_dollars) == (
        0,
        0,
        None,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_s": Decimal(0)},
        {"p99_target_s": Decimal(0)},
        {"cache_hits": Decimal("1.1")},
        {"gpu_hour_micro_dollars": -1},
    ],
)
def test_what_can_not_be_asked(wrong):
    with pytest.raises(ValueError, match="."):
        Question(**wrong)


# Slow only on a machine that is busy.
questions = st.builds(
    Question,
    per_s=st.decimals("0.1", "500", places=2),
    p99_target_s=st.decimals("5", "1000", places=1),
    cache_hits=st.decimals("0", "1", places=3),
    gpu_hour_micro_dollars=st.integers(0, 50_000_000),
)


@given(questions, st.integers(0, 10_000_000))
def test_a_higher_price_never_costs_less_and_needs_the_same_devices(question, more):
    dearer = answer(replace(question, gpu_hour_micro_dollars=question.gpu_hour_micro_dollars + more))
    found = answer(question)
    assert dearer.gpus == found.gpus
    assert dearer.hour_micro_dollars == found.hour_micro_dollars + found.gpus * more
    assert dearer.request_micro_dollars >= found.request_micro_dollars
    assert found.month_micro_dollars == 730 * found.hour_micro_dollars


@given(questions, st.decimals("0", "100", places=1))
def test_more_requests_or_a_tighter_target_or_fewer_hits_never_need_fewer_devices(question, more):
    found = answer(question)
    assert answer(replace(question, per_s=question.per_s + more)).gpus >= found.gpus
    assert answer(replace(question, p99_target_s=question.p99_target_s + more)).gpus <= found.gpus
    fewer = max(Decimal(0), question.cache_hits - more / 100)
    assert answer(replace(question, cache_hits=fewer)).gpus >= found.gpus


@given(questions)
def test_devices_are_the_least_that_suffice(question):
    effective = Fraction(question.per_s) * (1 - Fraction(question.cache_hits))
    square = (4_000 * effective / 19) ** 2 * sandbox.factor_squared(question.p99_target_s)
    gpus = answer(question).gpus
    assert gpus**2 >= square
    assert gpus == 0 or (gpus - 1) ** 2 < square


def test_the_clip_and_those_beside_it():
    found = clip.clip_cost(clip.ClipQuestion())
    assert found.gpu_s == 120
    assert found.denoising_micro_dollars == 116_667  # $0.117
    assert found.whole_micro_dollars == 151_667  # about $0.15
    assert [(one.low_micro_dollars, one.high_micro_dollars) for one in clip.OTHERS] == [
        (50_000, 100_000),
        (30_000, 80_000),
        (100_000, 100_000),
    ]


@pytest.mark.parametrize(
    ("key", "result", "sums"),
    [
        ("nan_background", "$8.42/h", {"hour": "8.424"}),
        ("nan_storm", "$421 / $28, a factor of 15", {"late": "421.2", "soon": "28.08", "factor": "15"}),
        ("bypass", "3 clips delivered", {"in_flight": "0.4", "clips": "3"}),
        (
            "starvation",
            "$22.40 + $900 = $922.40",
            {"breaches": "112", "credits": "22.4", "people": "900", "all": "922.4"},
        ),
        ("late_failure", "$0.11", {"gpu_s": "115.2", "dollars": "0.112"}),
        (
            "waste",
            "$660/h / $132/h, a factor of 5",
            {"second": "0.011", "hour": "39.6", "without": "660", "with": "132", "factor": "5"},
        ),
    ],
)
def test_published_bad_days_as_published(key, result, sums):
    assert PRESETS[key].result == result
    assert dict(PRESETS[key].sums) == {name: Decimal(value) for name, value in sums.items()}
    assert PRESETS[key].wrong


def test_what_is_said_to_be_wrong_is_wrong():
    """Each figure in the criticism, computed."""
    said = {key: " ".join(preset.wrong) for key, preset in PRESETS.items()}
    per_second, in_flight = bad_day.bad_day(PER_SECOND), bad_day.bad_day(IN_FLIGHT)
    assert PER_SECOND.in_flight == 2_400
    assert IN_FLIGHT.in_flight == 20
    assert PER_SECOND.clips_per_h / IN_FLIGHT.clips_per_h == 120
    assert "a factor of 120" in said["nan_background"]
    assert per_second.background_hour == 8_400_000
    assert "$8.40/h" in said["nan_background"]
    assert (per_second.bypass_clips, in_flight.bypass_clips) == (360, 3)
    assert "360" in said["bypass"]
    assert per_second.breaches == Fraction(225, 2)
    assert "112.5" in said["starvation"]
    assert PRESETS["waste"].sums["second"] * 3_600 == Decimal("39.6")
    assert "$39.60/h" in said["waste"]
    assert PRESETS["waste"].sums["second"] * 60 * 1_000 == 660
    assert (per_second.failure_step, per_second.failure_gpu_s) == (48, Fraction("115.2"))
    assert (per_second.failure, per_second.failure_with_checkpoints) == (112_000, 18_667)
    assert Fraction(48, 8) == 6
    assert (per_second.waste_hour, per_second.waste_hour_with_checkpoints) == (21_000_000, 4_200_000)
    assert per_second.waste_factor == 5
    assert Decimal(600) * Decimal("0.005") * Decimal("0.11") == Decimal("0.33")
    assert round(4_000 / 19, 1) == 210.5
    assert clip.gpu_micro_dollars(Fraction(4_000, 19), 3_500_000) == 204_678


def test_a_storm_costs_as_many_times_more_as_it_is_noticed_later():
    for fleet in (PER_SECOND, IN_FLIGHT):
        found = bad_day.bad_day(fleet)
        assert abs(found.storm_late - 15 * found.storm_soon) <= 15  # rounded half up, each by itself
        assert found.storm_factor == 15
    assert bad_day.bad_day(PER_SECOND).storm_late == 420 * DOLLAR


def test_a_guard_that_ends_a_clip_early_is_counted_with_what_it_took():
    guarded = replace(PER_SECOND, not_finite_gpu_s=Fraction(12))
    assert bad_day.bad_day(guarded).storm_late == bad_day.bad_day(PER_SECOND).storm_late // 10


def test_checkpoints_are_counted_as_often_as_the_worker_writes_them():
    from generation.worker import clip_attempt  # brings torch

    assert bad_day.CHECKPOINT_EVERY == clip_attempt.CHECKPOINT_EVERY


fleets = st.builds(
    Fleet,
    clips_per_h=st.fractions(0, 100_000, max_denominator=60),
    plus_per_h=st.fractions(0, 10_000, max_denominator=60),
    steps=st.integers(1, 100),
    step_s=st.fractions("0.01", 10, max_denominator=100),
    flight_s=st.fractions(1, 1_000, max_denominator=10),
    gpu_hour_micro_dollars=st.integers(0, 20_000_000),
    credit_micro_dollars=st.integers(0, 1_000_000),
    on_call_hour_micro_dollars=st.integers(0, 1_000_000_000),
)


@given(fleets)
def test_nothing_is_negative_and_checkpoints_never_cost(fleet):
    found = bad_day.bad_day(fleet)
    assert found.failure_with_checkpoints <= found.failure
    assert found.waste_hour_with_checkpoints <= found.waste_hour
    assert found.waste_factor >= 1
    assert found.storm_soon <= found.storm_late
    assert min(found.background_hour, found.bypass_clips, found.breaches, found.starvation) >= 0


@given(fleets, st.integers(0, 5_000_000))
def test_a_higher_price_of_a_device_never_makes_a_day_cheaper(fleet, more):
    found = bad_day.bad_day(fleet)
    dearer = bad_day.bad_day(
        replace(fleet, gpu_hour_micro_dollars=fleet.gpu_hour_micro_dollars + more), Events()
    )
    for name in ("background_hour", "storm_late", "failure", "waste_hour", "waste_hour_with_checkpoints"):
        assert getattr(dearer, name) >= getattr(found, name)
    assert dearer.starvation == found.starvation
