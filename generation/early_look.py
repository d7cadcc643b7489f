"""What early looks at previews save: a clip that is going wrong ends with its remaining steps unspent.

A look never replaces the final scan; it only stops sooner what that would have refused.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Sum

from generation.models import Attempt


@dataclass(frozen=True)
class Saved:
    """How many clips early looks ended, and the accelerator time that their remaining steps would have taken."""

    blocks: int
    gpu_ms: int


def saved_gpu_ms(steps_left: int, denoise_s: float, steps_run: int) -> int:
    """Steps left, times the seconds that a step of this attempt took, in milliseconds."""
    return round(1000 * steps_left * denoise_s / steps_run) if steps_run else 0


def saved(since: datetime, until: datetime) -> Saved:
    """Over a span of time, from the attempts themselves; by the index `attempt_saved`."""
    ended = Attempt.objects.filter(saved_gpu_ms__gt=0, ended_at__gte=since, ended_at__lt=until)
    sums = ended.aggregate(blocks=Count("id"), gpu_ms=Sum("saved_gpu_ms"))
    return Saved(sums["blocks"], sums["gpu_ms"] or 0)
