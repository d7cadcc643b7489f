"""Where an organization's purchased credits came from: paid for, granted, corrected. Reading only."""

from dataclasses import dataclass

from django.db.models import Sum

from billing.models import Account, Entry, Transaction

Kind = Transaction.Kind
PAID = (Kind.PURCHASE, Kind.PAY_REFUND, Kind.DISPUTE, Kind.DISPUTE_WON, Kind.RECOVERY)
GRANTED = (Kind.GRANT,)
CORRECTED = (Kind.ADJUSTMENT, Kind.VOID)


@dataclass(frozen=True)
class Origins:
    """What came into the purchased credits ever, less what was paid back, in micro-credits."""

    paid_micro: int
    granted_micro: int
    corrected_micro: int


def of_purchased(organization_id: int) -> Origins:
    """One query over the lines that brought or took purchased credits without any work."""
    entries = Entry.objects.filter(
        account__organization=organization_id,
        account__kind=Account.Kind.PURCHASED,
        transaction__organization=organization_id,
        transaction__kind__in=(*PAID, *GRANTED, *CORRECTED),
    )
    by_kind = dict(entries.values_list("transaction__kind").annotate(sum=Sum("amount")))

    def of(kinds: tuple[str, ...]) -> int:
        return int(sum(by_kind.get(kind, 0) for kind in kinds))

    return Origins(of(PAID), of(GRANTED), of(CORRECTED))
