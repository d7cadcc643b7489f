"""Bad days with the published arithmetic (e), reproduced figure by figure, and what is wrong with it.

Nothing here is a claim about a deployment: `bad_day.py` has the same events in one consistent arithmetic.
Published figures are products of rounded figures; they are multiplied as decimals, exactly, and rounded only where the
publication rounds, which each preset says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

CLIP = Decimal("0.117")  # dollars, itself rounded from 120 GPU-s at $3.50/h
TWENTY = Decimal(20)  # clips in flight here, clips per second there
HOUR_S = 3_600
CENT = Decimal("0.01")
CREDIT = Decimal("0.20")
ON_CALL_HOUR = Decimal(300)


@dataclass(frozen=True)
class Preset:
    """`sums` are the figures as published, by name: exact decimals, in dollars or clips. `wrong` says what "
    "doesn'old together, a sentence each."""

    key: str
    title: str
    arithmetic: str
    result: str
    sums: Mapping[str, Decimal]
    wrong: tuple[str, ...]


def cents(value: Decimal) -> Decimal:
    """Dollars to the cent, half up, as the publication rounds most of its sums."""
    return value.quantize(CENT, ROUND_HALF_UP)


def _background() -> Preset:
    hour = Decimal("0.001") * TWENTY * CLIP * HOUR_S
    return Preset(
        "nan_background",
        "NaN in the background",
        "0.001 × 20 × $0.117 × 3,600",
        f"${cents(hour)}/h",
        {"hour": hour},
        (
            "20 counts clips per second here; the filter bypass takes the same 20 as clips in flight. At "
            "120 s a clip, 20 per second are 2,400 in flight, and 20 in flight are 600 an hour: a factor of "
            "120 between the two readings.",
            "$0.117 is rounded from 120 GPU-s × $3.50/h = $0.11667; with that it is $8.40/h.",
            "Every NaN clip is counted whole. A guard that looks at each step ends it where it happens.",
        ),
    )


def _storm() -> Preset:
    late, soon = (Decimal("0.10") * TWENTY * CLIP * seconds for seconds in (1_800, 120))
    return Preset(
        "nan_storm",
        "NaN storm, noticed after 30 or 2 min",
        "0.10 × 20 × $0.117 × 1,800 / × 120",
        f"${late:.0f} / ${soon:.0f}, a factor of {(late / soon).normalize():f}",
        {"late": late, "soon": soon, "factor": late / soon},
        (
            "20 counts clips per second, as in the background.",
            "The factor of 15 is 30 min ÷ 2 min and nothing else: the waste is linear in the time to "
            "notice, whatever the other figures are.",
            "30 min is the p99 of the time to repair in the service levels (p50 12 min), and the alarm has "
            "to fire within 60 s; after noticing, the waste goes on until the mitigation.",
        ),
    )


def _bypass() -> Preset:
    in_flight = TWENTY * Decimal("0.02")
    clips = in_flight * 900 / 120
    return Preset(
        "bypass",
        "Filter bypass, 15 min",
        "20 × 0.02 = 0.4; 0.4 × 900 ÷ 120",
        f"{clips.normalize():f} clips delivered",
        {"in_flight": in_flight, "clips": clips},
        (
            "20 counts clips in flight here (0.4 of them bad, a turn of 120 s each). Read as clips per "
            "second, as in the NaN storm, the same 15 min deliver 360.",
            "15 min is half the p50 of the time to repair that the service levels give a bypass (30 min; "
            "p99 4 h).",
        ),
    )


def _starvation() -> Preset:
    exact = Decimal(5) * 45 * Decimal("0.5")
    breaches = exact.to_integral_value(ROUND_DOWN)
    credits, people = breaches * CREDIT, 3 * ON_CALL_HOUR
    return Preset(
        "starvation",
        "Free rush starves Plus, 45 min",
        "5/min × 45 × 0.5 = 112 breaches × $0.20; 3 h × $300",
        f"${cents(credits)} + ${people} = ${cents(credits + people)}",
        {"breaches": breaches, "credits": credits, "people": people, "all": credits + people},
        (
            "5 × 45 × 0.5 = 112.5: the publication drops the half.",
            "5 Plus clips a minute are 0.4 % of 20 clips per second, or half of 20 in flight: the two "
            "readings again.",
            "3 h of on-call time are charged for 45 min (four people for 45 min, or hours spent "
            "afterwards). They are 98 % of the sum, so the sum says next to nothing about the breaches.",
            "45 min is beyond the p99 of the time to repair in the service levels (8 min at p50, 25 min at "
            "p99).",
        ),
    )


def _late_failure() -> Preset:
    gpu_s = 48 * Decimal("2.4")
    dollars = gpu_s * Decimal("3.50") / HOUR_S
    return Preset(
        "late_failure",
        "Failure at step 48 of 50",
        "48 × 2.4 s = 115 GPU-s",
        f"${cents(dollars)}",
        {"gpu_s": gpu_s, "dollars": dollars},
        (
            "115.2 GPU-s are rounded to 115, $0.112 to $0.11, and the next event multiplies with the "
            "rounded figure.",
            "Step 48 is close to the worst case. A failure at a random step wastes 25 steps on average: 60 "
            "GPU-s, $0.058.",
        ),
    )


def _waste() -> Preset:
    second = Decimal("0.005") * TWENTY * Decimal("0.11")
    without, with_checkpoints = Decimal(660), Decimal(132)
    return Preset(
        "waste",
        "Waste without / with checkpoints every 10 steps",
        "0.005 × 20 × $0.11 = $0.011 “per second”",
        f"${without}/h / ${with_checkpoints}/h, a factor of {without / with_checkpoints}",
        {
            "second": second,
            "hour": second * HOUR_S,
            "without": without,
            "with": with_checkpoints,
            "factor": without / with_checkpoints,
        },
        (
            "$0.011 per second is $39.60/h, not $660/h. $660 is $0.011 × 60 × 1,000: a minute's waste, a "
            "thousandfold.",
            "The factor of 5 supposes failures at random steps (25 lost against 5); the dollars suppose "
            "step 48 each time. At step 48 a checkpoint at 40 leaves 8 to redo: a factor of 6.",
            "20 counts clips per second. With 20 in flight (600 an hour) the same sum is $0.33/h.",
        ),
    )


PRESETS: tuple[Preset, ...] = (
    _background(),
    _storm(),
    _bypass(),
    _starvation(),
    _late_failure(),
    _waste(),
)

# What doesn't fit between the sandbox and the clip, rather than inside one event.
BETWEEN: tuple[str, ...] = (
    "4,000 devices for 19 effective requests per second are 210.5 GPU-s a request; the clip is said to take "
    "120, or 156 with its overhead. Either 43 % of the fleet is idle, or the clip costs $0.205 and not "
    "$0.117.",
    "$0.19444 divides by all 20 requests per second; by the 19 that are generated it is $0.20468.",
    "A breached clip earns $0.20, more than the $0.15 that it costs to make.",
)
