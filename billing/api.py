"""/api: the caller's own decisions and statement. Who is asking is attached as `request.caller`."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema

from billing import access, statement
from billing.models import Decision

router = Router(tags=["billing"])


class LayerOut(Schema):
    """One layer of the waterfall as it was found; amounts in `unit`."""

    layer: str
    unit: str
    limit: int | None
    used: int | None
    asked: int
    taken: int
    remaining: int
    outcome: str


class DecisionOut(Schema):
    """Why a request was allowed or refused, and what it cost in the end. Money is micro-credits, units micro-units."""

    id: UUID
    object: str = "decision"
    at: datetime
    allowed: bool
    code: str | None
    message: str
    would_allow: str | None
    retry_after_s: float | None
    operation: str
    model: str
    subject: str
    units_micro: int
    quote_micro: int
    micro_per_unit: int
    price_version: int
    terms_version: int
    rules_version: int
    tier: str
    layers: list[LayerOut]
    remaining: dict[str, int]
    hold_state: str | None
    charge_micro: int | None
    charge_reason: str | None


class PromotionOut(Schema):
    left_micro: int
    expires_at: datetime


class BalancesOut(Schema):
    """What can be spent now by bucket, and what is held, in micro-credits."""

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
    available_after_micro: int
    held_after_micro: int
    parts: list[PartOut]
    subject: str | None
    decision_id: UUID | None
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
    """Newest first; the next page is asked for with `before=last_id`."""

    object: str = "list"
    balances: BalancesOut
    data: list[LineOut]
    has_more: bool
    last_id: int | None


@router.get("/decisions/{decision_id}", response=DecisionOut, summary="Why a request was allowed or refused")
def read_decision(request: HttpRequest, decision_id: str) -> dict:
    return decision_out(access.find_decision(request.caller.organization.pk, decision_id))


@router.get("/statement", response=StatementOut, summary="Balances, and the movements behind them")
def read_statement(
    request: HttpRequest,
    limit: int = Query(50, ge=1, le=statement.MOST_LINES),
    before: int | None = Query(None, ge=1),
) -> dict:
    organization_id = request.caller.organization.pk
    found = statement.lines(organization_id, limit + 1, before)
    page = found[:limit]
    return {
        "balances": asdict(statement.balances(organization_id)),
        "data": [_line_out(line) for line in page],
        "has_more": len(found) > limit,
        "last_id": page[-1].id if page else None,
    }


def decision_out(decision: Decision) -> dict:
    """The public form of a decision."""
    hold, charge = decision.hold, decision.charge
    same = ("id", "at", "allowed", "message", "operation", "model", "subject", "units_micro", "quote_micro")
    return {
        **{name: getattr(decision, name) for name in same},
        "code": decision.code or None,
        "would_allow": decision.would_allow or None,
        "retry_after_s": decision.retry_after_s,
        "micro_per_unit": decision.price_version.micro_per_unit,
        "price_version": decision.price_version_id,
        "terms_version": decision.terms_id,
        "rules_version": decision.rules_version,
        "tier": decision.terms.tier_id,
        "layers": decision.layers,
        "remaining": decision.remaining,
        "hold_state": hold.state if hold else None,
        "charge_micro": charge.amount if charge else None,
        "charge_reason": charge.reason_code if charge else None,
    }


def _line_out(line: statement.Line) -> dict:
    parts = [{"bucket": kind, "amount_micro": amount} for kind, amount in line.parts]
    return {**asdict(line), "parts": parts}
