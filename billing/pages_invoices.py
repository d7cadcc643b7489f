"""Invoices and receipts: what a month's overage came to, and the papers of what was bought."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from billing import papers


@require_GET
@member("billing")
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """`before` is a month, for older invoices; `after` a purchase's id, for older receipts."""
    before, after = request.GET.get("before", ""), request.GET.get("after", "")
    invoices, older_month = papers.invoices(
        caller.organization.pk, papers.month_of(before) if before else None
    )
    receipts, older = papers.receipts(caller.organization.pk, _purchase(after) if after else None)
    shown = {
        "invoices": invoices,
        "older_month": older_month,
        "receipts": receipts,
        "older": older,
        "paged_invoices": bool(before),
        "paged_receipts": bool(after),
    }
    return render(request, "billing/invoices.html", shown)


def _purchase(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        message = "`after` is the id of one of your purchases."
        raise ApiError("invalid_value", message, param="after") from None
