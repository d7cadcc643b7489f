"""What an organization has, and every line of how it came to that. Reading only, in a bounded number of queries."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from accounts import tiers
from billing import allowance, prices
from billing.access import allowance_caps
from billing.books import preview_books
from billing.models import Account, Operation, Transaction

Kind = Account.Kind
MOST_LINES = 200  # on one page of the API


@dataclass(frozen=True)
class Promotion:
    left_micro: int
    expires_at: datetime


@dataclass(frozen=True)
class Balances:
    """What can be spent now, by bucket in the order of use, and what is held. All in micro-credits.

    The allowance is shown as the next use would find it, also before the first use of a day has posted it.
    """

    available_micro: int
    held_micro: int
    allowance_micro: int
    allowance_day_micro: int  # what today's allowance is
    allowance_month_micro: int  # what the month includes
    allowance_month_left_micro: int  # what the month has left, today's rest included
    allowance_renews_at: datetime | None
    allowance_renews_micro: int  # what tomorrow's would be if nothing more were spent
    promotional_micro: int
    promotions: tuple[Promotion, ...]  # soonest to expire first
    purchased_micro: int


@dataclass(frozen=True)
class Line:
    """One transaction. `amount_micro` is what it did to the balance: 0 for a hold, which only sets aside.

    `parts` are its movements by bucket, (kind of account, micro-credits). What follows `parts` is there for the lines
    of a piece of work: its subject, the decision that allowed it and, once it is settled, charge and price.
    """

    id: int
    at: datetime
    kind: str
    label: str
    reason: str
    amount_micro: int
    available_change_micro: int
    held_change_micro: int
    available_after_micro: int
    held_after_micro: int
    parts: tuple[tuple[str, int], ...]
    subject: str | None = None
    decision_id: UUID | None = None
    operation: str | None = None
    model: str | None = None
    outcome: str | None = None
    reason_code: str | None = None
    units_micro: int | None = None
    quoted_micro: int | None = None
    charge_id: int | None = None
    charge_micro: int | None = None
    price_version_id: int | None = None
    micro_per_unit: int | None = None

    @property
    def balance_after_micro(self) -> int:
        return self.available_after_micro + self.held_after_micro


def balances(organization_id: int, now: datetime | None = None) -> Balances:
    """The balances at `now` (the present, if not given); four queries."""
    now = now or timezone.now()
    caps = _caps(organization_id, now)
    books = preview_books(organization_id, caps, now)
    state = books.allowance_state()
    renews_at, renews = allowance.next_day(state, caps)
    promotions = tuple(
        Promotion(account.balance, account.expires_at)
        for account in books.accounts
        if account.kind == Kind.PROMOTIONAL and account.balance
    )
    return Balances(
        available_micro=books.available,
        held_micro=books.held,
        allowance_micro=state.balance,
        allowance_day_micro=state.granted,
        allowance_month_micro=caps.month,
        allowance_month_left_micro=max(0, caps.month - state.spent_before - state.granted + state.balance),
        allowance_renews_at=renews_at if renews else None,
        allowance_renews_micro=renews,
        promotional_micro=sum(promotion.left_micro for promotion in promotions),
        promotions=promotions,
        purchased_micro=books.own(Kind.PURCHASED).balance,
    )


def _caps(organization_id: int, now: datetime) -> allowance.Caps:
    try:
        terms = tiers.terms_for(organization_id, now)
    except tiers.NoTerms:
        return allowance.Caps(0, 0)  # no tier includes nothing; a request would be refused loudly
    return allowance_caps(terms, prices.in_force([Operation.ALLOWANCE], now)[Operation.ALLOWANCE])


def lines(organization_id: int, limit: int = 50, before: int | None = None) -> list[Line]:
    """The newest transactions of an organization, or those before the line `before`; two queries, however many."""
    found = Transaction.objects.filter(organization_id=organization_id)
    if before is not None:
        found = found.filter(pk__lt=before)
    found = found.select_related("hold__decision", "charge__usage_event", "charge__price_version")
    page = found.prefetch_related("entries__account").order_by("-pk")[:limit]
    return [_line(posted) for posted in page]


def _line(posted: Transaction) -> Line:
    own = [entry for entry in posted.entries.all() if entry.account.organization_id is not None]
    parts = tuple((entry.account.kind, entry.amount) for entry in own)
    held = sum(amount for kind, amount in parts if kind == Kind.HELD)
    available = sum(amount for kind, amount in parts if kind != Kind.HELD)
    return Line(
        id=posted.pk,
        at=posted.at,
        kind=posted.kind,
        label=posted.get_kind_display(),
        reason=posted.reason,
        amount_micro=available + held,
        available_change_micro=available,
        held_change_micro=held,
        available_after_micro=posted.available_after,
        held_after_micro=posted.held_after,
        parts=parts,
        **_work(posted),
        **_charged(posted),
    )


def _work(posted: Transaction) -> dict:
    if posted.hold is None:
        return {}
    decision = posted.hold.decision
    return {
        "subject": posted.hold.subject,
        "decision_id": decision.pk,
        "operation": decision.operation,
        "model": decision.model,
        "quoted_micro": posted.hold.amount,
    }


def _charged(posted: Transaction) -> dict:
    charge = posted.charge
    if charge is None:
        return {}
    return {
        "outcome": charge.usage_event.outcome,
        "reason_code": charge.reason_code,
        "units_micro": charge.usage_event.units_micro,
        "charge_id": charge.pk,
        "charge_micro": charge.amount,
        "price_version_id": charge.price_version_id,
        "micro_per_unit": charge.price_version.micro_per_unit,
    }
