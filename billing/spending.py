"""An organization's month: spent by member, key and model against its budgets, the forecast, credits for late clips."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Sum

from billing import budget_board, forecast, spans, usage
from billing.models import SlaCredit
from billing.spans import Span

GROUPS = {"member": "Member", "key": "Key", "model": "Model"}
LATEST = 10


@dataclass(frozen=True)
class Spender:
    """A member, a key or a model with its month; `budget` where one is set for it."""

    row: usage.Row
    budget: budget_board.Standing | None

    @property
    def net_micro(self) -> int:
        return self.row.charged_micro - self.row.refunded_micro


@dataclass(frozen=True)
class Month:
    """`by` is the spenders by name of GROUPS; `days` is usage by model and day, for a chart."""

    span: Span
    spent_micro: int
    forecast: forecast.Forecast
    budget: budget_board.Standing | None  # of the whole organization
    by: dict[str, list[Spender]]
    days: list[usage.Row]
    sla_micro: int
    sla_clips: int
    sla_latest: list[SlaCredit]


def month(organization_id: int, now: datetime) -> Month:
    """The month up to now; ten queries at most."""
    span = spans.Span(spans.month_start(now), now, spans.MONTH)
    standings = budget_board.standings(organization_id, now)
    whole = next((one for one in standings if one.budget.scope == "organization"), None)
    by = {name: _spenders(organization_id, span, name, standings) for name in GROUPS}
    spent = sum(one.net_micro for one in by["model"])
    credits = SlaCredit.objects.filter(organization_id=organization_id)
    this_month = credits.filter(at__gte=span.since).aggregate(sum=Sum("amount", default=0))
    latest = credits.select_related("usage_event", "target").order_by("-at")[: LATEST + 1]
    days, full_days = _days(organization_id, span, now)
    return Month(
        span=span,
        spent_micro=spent,
        forecast=forecast.month_end(spent, full_days, now, spans.next_month(now)),
        budget=whole,
        by=by,
        days=days,
        sla_micro=int(this_month["sum"]),
        sla_clips=credits.filter(at__gte=span.since).count(),
        sla_latest=list(latest)[:LATEST],
    )


def _spenders(
    organization_id: int, span: Span, by: str, standings: list[budget_board.Standing]
) -> list[Spender]:
    """Who spent something, and who has a budget without having spent, the most expensive first."""
    own = {str(one.budget.user_id if by == "member" else one.budget.api_key_id): one for one in standings}
    own = {key: one for key, one in own.items() if one.budget.scope == by}
    rows = usage.totals(usage.Question(organization_id, span, by, "day"))
    idle = [
        usage.Row(None, key, one.name, 0, 0, 0, 0, 0, 0)
        for key, one in own.items()
        if key not in {row.id for row in rows}
    ]
    return [Spender(row, own.get(row.id or "")) for row in rows + idle]


def _days(organization_id: int, span: Span, now: datetime) -> tuple[list[usage.Row], list[int]]:
    """This month by model and day, and the last full days' sums; those may lie in the month before."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=forecast.MOST_DAYS)
    asked = usage.Question(organization_id, Span(min(first, span.since), now), "model", "day")
    rows = usage.rows(asked)
    full = [
        sum(row.charged_micro - row.refunded_micro for row in rows if row.start == first + timedelta(days=n))
        for n in range(forecast.MOST_DAYS)
    ]
    return [row for row in rows if row.start >= span.since], full
