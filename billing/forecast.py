"""What a month will have cost: so far, and for the rest of it as much a day as the last full days did. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(days=1)
MOST_DAYS = 7


@dataclass(frozen=True)
class Forecast:
    """`total_micro` at the month's end; None where there is no full day yet to go by. `days` were averaged."""

    total_micro: int | None
    per_day_micro: int
    days: int

    @property
    def method(self) -> str:
        if self.total_micro is None:
            return "Told once there is a full day (UTC) of use to go by."
        days = "last full day" if self.days == 1 else f"mean of the last {self.days} full days"
        return f"Spent so far, and for the rest of the month as much a day as the {days} (UTC)."


def month_end(spent_micro: int, full_days_micro: list[int], now: datetime, ends_at: datetime) -> Forecast:
    """The month's total: `spent_micro` so far, and `full_days_micro` the last full days, oldest first.

    Days before the first use don't count as days without use.
    """
    used = full_days_micro[-MOST_DAYS:]
    while used and used[0] == 0:
        used = used[1:]
    if not used:
        return Forecast(None, 0, 0)
    per_day = round(sum(used) / len(used))
    left = max(timedelta(0), ends_at - now)
    return Forecast(spent_micro + round(per_day * (left / DAY)), per_day, len(used))
