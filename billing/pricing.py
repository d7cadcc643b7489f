"""What compute units cost. Pure: standard library only. Money is micro-credits, units micro-units, both integers."""

from decimal import Decimal

MICRO = 1_000_000


def amount_micro(units_micro: int, micro_per_unit: int) -> int:
    """The price of `units_micro` at `micro_per_unit`, in micro-credits; the one place that rounds a price.

    Half a micro-credit rounds up. Raises ValueError for a negative amount of either.
    """
    if units_micro < 0 or micro_per_unit < 0:
        raise ValueError(f"units and price are never negative: {units_micro}, {micro_per_unit}")
    return (2 * units_micro * micro_per_unit + MICRO) // (2 * MICRO)


def in_credits(micro: int) -> str:
    """Micro-credits as credits for people: two decimals, more only where there are any ("0.30", "1.000001")."""
    text = f"{Decimal(micro) / MICRO:,.6f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"
