"""Notices as an organization reads them: a page, how many are new, and from which balance on it wants to be told."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.errors import ApiError
from accounts.identity import Caller
from billing.books import open_books
from billing.models import BillingSettings, Notice, Wallet

SHOWN = 50
MOST_MICRO = 10**15
MOST_COUNTED = 100  # a badge says "99+"


@dataclass(frozen=True)
class Threshold:
    """The balance below which the organization is told; `own_micro` is None where it follows the usual one."""

    own_micro: int | None
    usual_micro: int

    @property
    def micro(self) -> int:
        return self.usual_micro if self.own_micro is None else self.own_micro


def newest(organization_id: int, before: int | None = None) -> tuple[list[Notice], int | None]:
    """A page of notices, newest first, and the number to go on from; one query."""
    found = Notice.objects.filter(organization_id=organization_id)
    if before is not None:
        found = found.filter(pk__lt=before)
    page = list(found.order_by("-pk")[: SHOWN + 1])
    return page[:SHOWN], page[SHOWN - 1].pk if len(page) > SHOWN else None


def unread(organization_id: int) -> int:
    """How many nobody has marked as read, counted up to `MOST_COUNTED`."""
    return Notice.objects.filter(organization_id=organization_id, read_at=None)[:MOST_COUNTED].count()


def mark_read(organization_id: int, up_to: int) -> int:
    """Mark what had come when the page was shown; the number of notices."""
    new = Notice.objects.filter(organization_id=organization_id, read_at=None, pk__lte=up_to)
    return new.update(read_at=Now())


def threshold(organization_id: int) -> Threshold:
    """Two queries."""
    own = Wallet.objects.filter(pk=organization_id).values_list("low_balance_micro", flat=True).first()
    in_force = BillingSettings.objects.filter(effective_from__lte=Now()).order_by("-effective_from")
    usual = in_force.values_list("low_balance_micro", flat=True).first()
    return Threshold(own, usual or 0)


@transaction.atomic
def set_threshold(caller: Caller, micro: int | None) -> None:
    """From which balance on to tell; None follows the usual one, 0 never tells. Raises `ApiError`."""
    caller.require("billing")
    if micro is not None and not 0 <= micro <= MOST_MICRO:
        raise ApiError("invalid_value", "The balance is an amount of credits from 0 on.", param="amount")
    wallet = open_books(caller.organization.pk).wallet
    before, wallet.low_balance_micro = wallet.low_balance_micro, micro
    wallet.low_balance_told = False  # a new line is a new occasion
    wallet.save(update_fields=["low_balance_micro", "low_balance_told"])
    audit.record(
        actor=caller.user or f"API key {caller.api_key.prefix}",
        action="notices.threshold",
        target=f"wallet:{caller.organization.pk}",
        reason="Set by the customer",
        before={"low_balance_micro": before},
        after={"low_balance_micro": micro},
        organization=caller.organization,
    )
