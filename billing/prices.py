"""Which price is in force."""

from collections.abc import Iterable
from datetime import datetime

from billing.models import PriceVersion


class NoPrice(LookupError):
    """An operation has no price at that moment: nothing can be quoted, so nothing may be admitted."""


def in_force(operations: Iterable[str], now: datetime) -> dict[str, PriceVersion]:
    """The newest price of each operation at `now`, in one query. Raises `NoPrice` where one has none."""
    wanted = set(operations)
    newest = (
        PriceVersion.objects.filter(operation__in=wanted, effective_from__lte=now)
        .order_by("operation", "-effective_from")
        .distinct("operation")
    )
    found = {price.operation: price for price in newest}
    if missing := wanted - found.keys():
        raise NoPrice(f"no price in force at {now.isoformat()} for {', '.join(sorted(missing))}")
    return found
