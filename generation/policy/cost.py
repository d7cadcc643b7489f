"""What a request weighs, before anything runs: compute units for the price, accelerator time for the schedule."""

import math
from dataclasses import dataclass

RULE_VERSION = "units-1"

MICRO = 1_000_000
REFERENCE_CLIP_UNITS = 500  # one minute of 1280×720 at 24 fps in 50 steps
REFERENCE_TOKENS = 1_000  # tokens per unit
REFERENCE_STEPS = 50
REFERENCE_PIXEL_RATE = (
    1280 * 720 * 24
)  # pixels per second of clip; the latent tokens are proportional to them
ATTENTION_SHARE = 0.5
LEAST_CLIP_UNITS_MICRO = MICRO


@dataclass(frozen=True)
class ClipWeight:
    width: int
    height: int
    fps: float
    seconds: float
    steps: int


def clip_units_micro(clip: ClipWeight, attention_share: float = ATTENTION_SHARE) -> int:
    """Micro-units of a clip: 500 · s/60 · steps/50 · r, at least one unit.

    r = (n/n₀)·(1 + a·n/n₀)/(1 + a) over the latent tokens per second n, a being the share of attention, whose cost
    grows with the square of n: linear in steps and seconds, faster than linear in resolution. Rounded up.
    """
    n = clip.width * clip.height * clip.fps / REFERENCE_PIXEL_RATE
    r = n * (1 + attention_share * n) / (1 + attention_share)
    units = REFERENCE_CLIP_UNITS * clip.seconds / 60 * clip.steps / REFERENCE_STEPS * r
    return max(LEAST_CLIP_UNITS_MICRO, math.ceil(units * MICRO))


def clip_units_run_micro(quoted_micro: int, steps: int, steps_run: int) -> int:
    """Micro-units of a clip that its owner stopped: the share of its steps that ran, rounded down."""
    return quoted_micro * min(steps_run, steps) // steps if steps else 0


def token_units_micro(tokens: int) -> int:
    """Micro-units of tokens in and out: 1,000 tokens are one unit."""
    return tokens * MICRO // REFERENCE_TOKENS


def clip_gpu_ms(fixed_ms: int, ms_per_step: int, steps: int) -> int:
    """Accelerator milliseconds a clip is expected to take on its model."""
    return fixed_ms + ms_per_step * steps


def calibrated_gpu_ms(units_micro: int, ms_per_unit: float) -> int:
    """Accelerator milliseconds of so many micro-units, by what a unit of the model was found to take (rounded, ≥ 1)."""
    return max(1, round(units_micro * ms_per_unit / MICRO))


def code_gpu_ms(fixed_ms: int, ms_per_token: int, tokens: int) -> int:
    """Accelerator milliseconds of at most `tokens` generated tokens."""
    return fixed_ms + ms_per_token * tokens
