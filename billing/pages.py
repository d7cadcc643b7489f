"""Decisions: why each request was allowed or refused."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.doors import member
from accounts.identity import Caller
from billing import decisions
from billing.settlement_rules import RULES, rule_for


@require_GET
@member("read")
def decision(request: HttpRequest, caller: Caller, decision_id: UUID) -> HttpResponse:
    """One decision in plain words: the layers that were tried, what each gave, what was left."""
    found = decisions.find(caller.organization.pk, str(decision_id))
    page = {
        "decision": found,
        "rule": rule_for(found.charge.reason_code) if found.charge else None,
        "refused_in_minute": decisions.refused_alike(found),
        "settlement_rules": RULES,
    }
    return render(request, "billing/decision.html", page)
