"""/api: the caller's own statement, usage, budgets and notices. Who is asking is attached as `request.caller`.

Reading takes the scope read or billing, setting takes billing.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from accounts.api.paging import LARGEST_ID, After
from billing import budget_board, notice_board, papers, spans, statement, usage
from billing.models import Invoice

router = Router(tags=["billing"])


class PromotionOut(Schema):
    left_micro: int
    expires_at: datetime


class BalancesOut(Schema):
    """What can be spent now by bucket, what is held and what is owed, in micro-credits."""

    available_micro: int
    held_micro: int
    allowance_micro: int
    allowance_day_micro: int
    allowance_month_micro: int
    allowance_month_left_micro: int
    allowance_renews_at: datetime | None
    allowance_renews_micro: int
    promotional_micro: int
    promotions: list[PromotionOut]
    purchased_micro: int
    overage_micro: int
    overage_ends_at: datetime | None
    owed_micro: int


class PartOut(Schema):
    bucket: str
    amount_micro: int


class LineOut(Schema):
    """One movement of the balance and the work, decision, charge and price behind it."""

    id: int
    at: datetime
    kind: str
    reason: str
    amount_micro: int
    available_change_micro: int
    held_change_micro: int
    owed_change_micro: int
    available_after_micro: int
    held_after_micro: int
    parts: list[PartOut]
    payment_id: UUID | None
    subject: str | None
    decision_id: UUID | None
    member: str | None
    api_key: str | None
    operation: str | None
    model: str | None
    outcome: str | None
    reason_code: str | None
    units_micro: int | None
    quoted_micro: int | None
    charge_id: int | None
    charge_micro: int | None
    price_version_id: int | None
    micro_per_unit: int | None


class StatementOut(Schema):
    """Newest first; the next page is asked for with `after=last_id`."""

    object: str = "list"
    balances: BalancesOut
    data: list[LineOut]
    has_more: bool
    last_id: int | None


class UsageRowOut(Schema):
    """One group in one bucket of time. `start` is null in a total, `id` where there is none (no key, no member)."""

    start: datetime | None
    id: str | None
    name: str
    requests: int
    charged_requests: int
    units_micro: int
    quantity: int
    charged_micro: int
    refunded_micro: int


class UsageOut(Schema):
    """`since` counts, `until` doesn't; buckets without use are left out. The charges add up to the ledger's."""

    object: str = "usage"
    timezone: str = "UTC"
    since: datetime
    until: datetime
    by: str
    grain: str
    data: list[UsageRowOut]
    total: UsageRowOut


class InvoiceOut(Schema):
    """What a month (UTC) used above its credits, by contract: open, paid, or void where nothing was used."""

    id: int
    object: str = "invoice"
    month: str
    state: str
    amount_micro: int
    amount_cents: int
    limit_month_micro: int
    issued_at: datetime
    settled_at: datetime | None


class InvoicesOut(Schema):
    """The newest month first; the next page is asked for with `after=last_id`. Receipts stand in /api/purchases."""

    object: str = "list"
    data: list[InvoiceOut]
    has_more: bool
    last_id: str | None


class BudgetOut(Schema):
    """A monthly budget and how far this month (UTC) is: charged or held counts."""

    id: int
    object: str = "budget"
    scope: str
    target: int | None
    name: str
    amount_micro: int
    used_micro: int
    left_micro: int
    soft_percent: int
    hard_stop: bool
    changed_by: str | None
    changed_at: datetime


class BudgetsOut(Schema):
    object: str = "list"
    renews_at: datetime
    data: list[BudgetOut]


class BudgetIn(Schema):
    """`target` is the id of the member or the key, and left out for the organization."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Literal["organization", "member", "key"]
    target: int | None = Field(None, ge=1, le=LARGEST_ID)
    amount_micro: int = Field(ge=0, le=10**15)
    soft_percent: int = Field(80, ge=1, le=100)
    hard_stop: bool = True


class NoticeOut(Schema):
    id: int
    kind: str
    message: str
    link: str
    at: datetime
    read_at: datetime | None


class NoticesOut(Schema):
    object: str = "list"
    unread: int
    data: list[NoticeOut]
    has_more: bool
    last_id: int | None


@router.get("/statement", response=StatementOut, summary="Balances, and the movements behind them")
def read_statement(
    request: HttpRequest,
    limit: int = Query(50, ge=1, le=statement.MOST_LINES),
    after: After = None,
    model: str = Query("", max_length=100),
    show: Literal["", "charges", "uncharged", "added", "removed", "held"] = "",
    since: str = Query("", alias="from"),
    until: str = Query("", alias="to"),
) -> dict:
    """`from` and `to` (a date or a moment, UTC; a date as `to` counts whole) narrow it to a span."""
    organization_id = request.caller.organization.pk
    only = statement.Filter(
        group=show,
        since=spans.moment(since, "from") if since else None,
        until=spans.moment(until, "to", end=True) if until else None,
        model=model,
    )
    found = statement.lines(organization_id, limit + 1, after, only)
    page = found[:limit]
    return {
        "balances": asdict(statement.balances(organization_id)),
        "data": [_line_out(line) for line in page],
        "has_more": len(found) > limit,
        "last_id": page[-1].id if page else None,
    }


@router.get("/usage", response=UsageOut, summary="Usage by model, key, member, kind or outcome")
def read_usage(
    request: HttpRequest,
    by: str = "model",
    grain: str = "",
    span_name: str = Query("", alias="range"),
    since: str = Query("", alias="from"),
    until: str = Query("", alias="to"),
) -> dict:
    """The span is `range` (1h, 24h, 7d, 30d, month; 24h unless told), or `from` and `to`: a date or a moment, UTC.

    `grain` is minute, hour or day; the finest that reads well unless told.
    """
    named = {"range": span_name, "from": since, "to": until}
    span = spans.of(named, timezone.now(), otherwise="24h")
    asked = usage.question(request.caller.organization.pk, span, by, grain or usage.usual_grain(span))
    found = usage.rows(asked)
    return {
        "since": span.since,
        "until": span.until,
        "by": asked.by,
        "grain": asked.grain,
        "data": [asdict(row) for row in found],
        "total": asdict(usage.total(found)),
    }


@router.get("/budgets", response=BudgetsOut, summary="Monthly budgets and how far they are")
def read_budgets(request: HttpRequest) -> dict:
    now = timezone.now()
    standings = budget_board.standings(request.caller.organization.pk, now)
    return {"renews_at": spans.next_month(now), "data": [_budget_out(one) for one in standings]}


@router.put("/budgets", response=BudgetOut, summary="Set a monthly budget")
def set_budget(request: HttpRequest, asked: BudgetIn) -> dict:
    """For the organization, a member or a key; one that is there already is replaced."""
    budget = budget_board.change(
        request.caller,
        asked.scope,
        asked.target,
        asked.amount_micro,
        soft_percent=asked.soft_percent,
        hard_stop=asked.hard_stop,
    )
    standings = budget_board.standings(request.caller.organization.pk, timezone.now())
    return _budget_out(next(one for one in standings if one.budget.pk == budget.pk))


@router.delete("/budgets/{budget_id}", response={204: None}, summary="End a monthly budget")
def remove_budget(request: HttpRequest, budget_id: int) -> Status:
    budget_board.remove(request.caller, budget_id)
    return Status(204, None)


@router.get("/notices", response=NoticesOut, summary="What the organization was told about its credits")
def read_notices(request: HttpRequest, after: After = None) -> dict:
    """What was told about the balance, credits and limits, newest first."""
    organization_id = request.caller.organization.pk
    found, older = notice_board.newest(organization_id, after)
    return {
        "unread": notice_board.unread(organization_id),
        "data": found,
        "has_more": older is not None,
        "last_id": found[-1].pk if found else None,
    }


@router.get("/invoices", response=InvoicesOut, summary="What the overage of each month came to")
def read_invoices(
    request: HttpRequest,
    after: str | None = Query(
        None, pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="The `last_id` of the page before: a month."
    ),
) -> dict:
    """The overage invoice of each month."""
    found, older = papers.invoices(
        request.caller.organization.pk, papers.month_of(after, "after") if after else None
    )
    return {
        "data": [_invoice_out(invoice) for invoice in found],
        "has_more": older is not None,
        "last_id": f"{found[-1].month:%Y-%m}" if found else None,
    }


def _invoice_out(invoice: Invoice) -> dict:
    same = ("id", "state", "amount_micro", "amount_cents", "issued_at", "settled_at")
    return {
        **{name: getattr(invoice, name) for name in same},
        "month": f"{invoice.month:%Y-%m}",
        "limit_month_micro": invoice.contract.limit_month_micro,
    }


def _line_out(line: statement.Line) -> dict:
    parts = [{"bucket": kind, "amount_micro": amount} for kind, amount in line.parts]
    return {**asdict(line), "parts": parts}


def _budget_out(one: budget_board.Standing) -> dict:
    budget = one.budget
    same = ("id", "scope", "amount_micro", "soft_percent", "hard_stop", "changed_at")
    return {
        **{name: getattr(budget, name) for name in same},
        "target": budget.user_id or budget.api_key_id,
        "name": one.name,
        "used_micro": one.used_micro,
        "left_micro": one.left_micro,
        "changed_by": budget.changed_by.get_short_name() if budget.changed_by else None,
    }
