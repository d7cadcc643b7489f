"""Holds that nobody resolved: a backstop by the database's clock. While its job is open a hold is renewed."""

from collections.abc import Collection
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts import batch, operations
from billing import budgets, ledger
from billing.books import open_books
from billing.models import Hold

LASTS = timedelta(days=7)
RENEWED_BEFORE = timedelta(days=3)  # the end


def ending(limit: int) -> list[str]:
    """The subjects of open holds that end within three days: who knows of open work renews theirs."""
    soon = Hold.objects.filter(state=Hold.State.OPEN, expires_at__lt=Now() + RENEWED_BEFORE)
    return list(soon.order_by("expires_at").values_list("subject", flat=True)[:limit])


def renew(subjects: Collection[str]) -> int:
    """Give the holds of open work another week; how many."""
    return ledger.renew_holds(subjects, LASTS)


def expire(limit: int = 100) -> int:
    """End the open holds whose time is over, giving everything back; how many."""
    over = Hold.objects.filter(Q(state=Hold.State.OPEN), expires_at__lte=Now())
    return sum(_expire_one(pk) for pk in over.order_by("expires_at").values_list("pk", flat=True)[:limit])


@transaction.atomic
def _expire_one(hold_id: int) -> bool:
    organization_id = Hold.objects.values_list("organization_id", flat=True).get(pk=hold_id)
    books = open_books(organization_id)
    due = Hold.objects.select_related("decision").filter(state=Hold.State.OPEN, expires_at__lte=Now())
    held = due.filter(pk=hold_id).first()
    if held is None:
        return False
    ledger.expire_hold(books, held)
    batch.run(budgets.give_back(held.decision, held.amount))
    operations.report("billing.hold_expired", "error", f"hold:{hold_id}", {"subject": held.subject})
    return True
