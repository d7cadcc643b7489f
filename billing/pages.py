"""Usage and decisions: what there is to spend, every line of how it came to that, and why each request was allowed."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from billing import access, statement

LINES = 50


@require_GET
@member("read")
def usage(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Balances by bucket, and the statement with its running balance; `before` is a line's number."""
    before = _before(request)
    lines = statement.lines(caller.organization.pk, LINES + 1, before)
    page = {
        "balances": statement.balances(caller.organization.pk),
        "lines": lines[:LINES],
        "older": lines[LINES - 1].id if len(lines) > LINES else None,
        "paged": before is not None,
    }
    return render(request, "billing/usage.html", page)


@require_GET
@member("read")
def decision(request: HttpRequest, caller: Caller, decision_id: UUID) -> HttpResponse:
    """One decision in plain words: the layers that were tried, what each gave, what was left."""
    found = access.find_decision(caller.organization.pk, str(decision_id))
    return render(request, "billing/decision.html", {"decision": found})


def _before(request: HttpRequest) -> int | None:
    value = request.GET.get("before", "")
    if not value:
        return None
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise ApiError("invalid_value", "`before` is the number of a line.", param="before")
    return int(value)
