"""/api: the caller's own decisions. Who is asking is attached as `request.caller`."""

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema

from billing import decisions
from billing.models import Decision
from billing.settlement_rules import rule_for

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
    charge_rule: str | None
    refused_in_minute: int | None
    url: str


@router.get("/decisions/{decision_id}", response=DecisionOut, summary="Why a request was allowed or refused")
def read_decision(request: HttpRequest, decision_id: str) -> dict:
    return decision_out(decisions.find(request.caller.organization.pk, decision_id))


def decision_out(decision: Decision) -> dict:
    """The public form of a decision."""
    hold, charge = decision.hold, decision.charge
    rule = rule_for(charge.reason_code) if charge else None
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
        "charge_rule": rule.words if rule else None,
        "refused_in_minute": decisions.refused_alike(decision) or None,
        "url": f"/decisions/{decision.pk}",
    }
