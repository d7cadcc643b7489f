"""An organization's papers: the monthly invoices of its overage, and the receipts of what it bought."""

from datetime import date
from uuid import UUID

from django.db.models import QuerySet

from accounts.errors import ApiError
from billing.models import Invoice, Payment
from billing.payments import buying

SHOWN = 24


def invoices(
    organization_id: int, before: date | None = None, limit: int = SHOWN
) -> tuple[list[Invoice], date | None]:
    """A page of overage invoices, the newest month first, and the month to go on from; one query."""
    found = Invoice.objects.filter(organization_id=organization_id).select_related("contract")
    if before is not None:
        found = found.filter(month__lt=before)
    page = list(found.order_by("-month")[: limit + 1])
    return page[:limit], page[limit - 1].month if len(page) > limit else None


def receipts(organization_id: int, after: UUID | None = None) -> tuple[list[Payment], UUID | None]:
    """A page of paid purchases with their papers, newest first, and the id to go on from; three queries at most.

    Raises `ApiError` invalid_value where `after` is none of the organization's purchases.
    """
    paid = buying.purchases_of(organization_id).filter(paid_at__isnull=False)
    if after is not None:
        paid = buying.older_than(paid, _own(organization_id, after))
    page = list(paid[: SHOWN + 1])
    return page[:SHOWN], page[SHOWN - 1].pk if len(page) > SHOWN else None


def month_of(text: str, param: str = "before") -> date:
    """A month as an address names it, `2026-11`. Raises `ApiError`."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        message = f"`{param}` is a month, such as 2026-11."
        raise ApiError("invalid_value", message, param=param) from None


def _own(organization_id: int, payment_id: UUID) -> Payment:
    found: QuerySet[Payment] = Payment.objects.filter(organization_id=organization_id, pk=payment_id)
    last = found.first()
    if last is None:
        raise ApiError("invalid_value", "`after` is the id of one of your purchases.", param="after")
    return last
