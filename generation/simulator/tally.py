"""What a run counts as it goes, per lane; `report.py` makes figures of it."""


class Tally:
    """Counts of one lane. `waits` are in order of their starts, in seconds; those of the organization that is watched
    are apart. `turns` are moment and length of each wait for a turn, where the auto-raise rule asks for them."""

    __slots__ = (
        "credit_micro",
        "delivered",
        "failed",
        "gpu_ms",
        "in_system",
        "late",
        "lost_attempts",
        "offered",
        "preempted",
        "raises",
        "refused_open",
        "refused_rate",
        "turns",
        "waits",
        "wasted_ms",
        "wasted_nan_ms",
        "wasted_without_ms",
        "watched_waits",
    )

    def __init__(self) -> None:
        self.offered = self.refused_open = self.refused_rate = self.delivered = self.failed = 0
        self.late = self.credit_micro = self.preempted = self.lost_attempts = self.raises = 0
        self.gpu_ms = self.wasted_ms = self.wasted_without_ms = self.wasted_nan_ms = 0.0
        self.waits: list[float] = []
        self.watched_waits: list[float] = []
        self.in_system: list[float] = []
        self.turns: list[tuple[float, float]] = []
