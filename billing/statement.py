"""What an organization has, and every line of how it came to that. Reading only, in a bounded number of queries."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import tiers
from billing import allowance, prices
from billing.access import allowance_caps
from billing.books import preview_books
from billing.models import Account, Charge, Operation, OverageContract, Transaction

Kind = Account.Kind
MOST_LINES = 200  # on one page of the API

_Moved = Transaction.Kind
# What the filter of the page calls a group of lines.
GROUPS: dict[str, tuple[str, ...]] = {
    "charges": (_Moved.CHARGE, _Moved.REFUND),
    "uncharged": (_Moved.RELEASE,),
    "added": (
        _Moved.GRANT,
        _Moved.PROMOTION,
        _Moved.PURCHASE,
        _Moved.ALLOWANCE,
        _Moved.OVERAGE,
        _Moved.SLA_CREDIT,
        _Moved.REFUND,
        _Moved.DISPUTE_WON,
    ),
    "removed": (_Moved.EXPIRY, _Moved.PAY_REFUND, _Moved.DISPUTE, _Moved.RECOVERY, _Moved.VOID),
    "held": (_Moved.HOLD,),
}
_SHOWN_WITH = (
    "hold__decision__user",
    "hold__decision__api_key",
    "charge__usage_event",
    "charge__price_version",
)


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
    overage_micro: int  # what the contract still allows this month
    overage_ends_at: datetime | None
    owed_micro: int  # after a dispute; paid first from what is bought next


@dataclass(frozen=True)
class Line:
    """One transaction. `amount_micro` is what it did to the balance: 0 for a hold, which only sets aside.

    `owed_change_micro` is what it did to what is owed after a dispute, which is no part of the balance. `parts` are its
    movements by bucket, (kind of account, micro-credits). What follows is there for the lines of a piece of work: its
    subject, the decision that allowed it and, once it is settled, charge and price.
    """

    id: int
    at: datetime
    kind: str
    label: str
    reason: str
    amount_micro: int
    available_change_micro: int
    held_change_micro: int
    owed_change_micro: int
    available_after_micro: int
    held_after_micro: int
    parts: tuple[tuple[str, int], ...]
    payment_id: UUID | None = None
    subject: str | None = None
    decision_id: UUID | None = None
    member: str | None = None
    api_key: str | None = None
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
    """The balances at `now` (the present, if not given); five queries."""
    now = now or timezone.now()
    caps = _caps(organization_id, now)
    books = preview_books(organization_id, caps, now, _overage_limit(organization_id, now))
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
        overage_micro=sum(a.balance for a in books.buckets() if a.kind == Kind.OVERAGE),
        overage_ends_at=next((a.expires_at for a in books.buckets() if a.kind == Kind.OVERAGE), None),
        owed_micro=-sum(a.balance for a in books.accounts if a.kind == Kind.RECEIVABLE),
    )


def _overage_limit(organization_id: int, now: datetime) -> int:
    contracts = OverageContract.objects.filter(organization_id=organization_id, effective_from__lte=now)
    newest = contracts.order_by("-effective_from").values_list("limit_month_micro", flat=True)
    return newest.first() or 0


def _caps(organization_id: int, now: datetime) -> allowance.Caps:
    try:
        terms = tiers.terms_for(organization_id, now)
    except tiers.NoTerms:
        return allowance.Caps(0, 0)  # no tier includes nothing; a request would be refused loudly
    return allowance_caps(terms, prices.in_force([Operation.ALLOWANCE], now)[Operation.ALLOWANCE])


@dataclass(frozen=True)
class Filter:
    """Which lines: a name of GROUPS, a span in UTC (`since` counts, `until` doesn't), a model, a key, a member."""

    group: str = ""
    since: datetime | None = None
    until: datetime | None = None
    model: str = ""
    api_key_id: int | None = None
    user_id: int | None = None

    def __bool__(self) -> bool:
        return self != Filter()

    def condition(self) -> Q:
        wanted = Q(kind__in=GROUPS[self.group]) if self.group else Q()
        named = {
            "at__gte": self.since,
            "at__lt": self.until,
            "hold__decision__model": self.model or None,
            "hold__decision__api_key": self.api_key_id,
            "hold__decision__user": self.user_id,
        }
        return wanted & Q(**{name: value for name, value in named.items() if value is not None})


EVERYTHING = Filter()


def lines(
    organization_id: int, limit: int = 50, before: int | None = None, only: Filter = EVERYTHING
) -> list[Line]:
    """The newest transactions of an organization, or those before the line `before`; three queries, however many."""
    found = _of(organization_id, only)
    if before is not None:
        found = found.filter(pk__lt=before)
    return [line_of(posted) for posted in found.order_by("-pk")[:limit]]


def lines_up_to(organization_id: int, last: int, after: int, limit: int, only: Filter) -> list[Line]:
    """Lines oldest first, for a CSV: those after the line `after`, and none beyond `last`; three queries."""
    found = _of(organization_id, only).filter(pk__gt=after, pk__lte=last)
    return [line_of(posted) for posted in found.order_by("pk")[:limit]]


def newest_line(organization_id: int) -> int:
    """The number of the organization's last line, 0 where there is none: later ones have higher numbers."""
    newest = Transaction.objects.filter(organization_id=organization_id).order_by("-pk")
    return newest.values_list("pk", flat=True).first() or 0


def has_charge(organization_id: int, charge_id: int) -> bool:
    """Whether a charge is the organization's."""
    return Charge.objects.filter(organization_id=organization_id, pk=charge_id).exists()


def line_of_charge(organization_id: int, charge_id: int) -> int | None:
    """The number of the line that settled a charge, None where its price was nothing."""
    settled = Transaction.objects.filter(organization_id=organization_id, charge=charge_id)
    return settled.order_by("pk").values_list("pk", flat=True).first()


def _of(organization_id: int, only: Filter) -> QuerySet[Transaction]:
    mine = Transaction.objects.filter(only.condition(), organization_id=organization_id)
    return mine.select_related(*_SHOWN_WITH).prefetch_related("entries__account")


def line_of(posted: Transaction) -> Line:
    """One transaction as the statement shows it; its entries, hold and charge should be loaded with it."""
    own = [entry for entry in posted.entries.all() if entry.account.organization_id is not None]
    parts = tuple((entry.account.kind, entry.amount) for entry in own)
    held = sum(amount for kind, amount in parts if kind == Kind.HELD)
    owed = sum(amount for kind, amount in parts if kind == Kind.RECEIVABLE)
    available = sum(amount for _, amount in parts) - held - owed
    return Line(
        id=posted.pk,
        at=posted.at,
        kind=posted.kind,
        label=posted.get_kind_display(),
        reason=posted.reason,
        amount_micro=available + held,
        available_change_micro=available,
        held_change_micro=held,
        owed_change_micro=-owed,
        available_after_micro=posted.available_after,
        held_after_micro=posted.held_after,
        parts=parts,
        payment_id=posted.payment_id,
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
        "member": decision.user.get_short_name() if decision.user else None,
        "api_key": decision.api_key.name if decision.api_key else None,
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
