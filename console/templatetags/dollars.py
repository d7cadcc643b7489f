"""Dollars as people read them, from whole micro-dollars."""

from decimal import ROUND_HALF_UP, Decimal

from django import template

from console.templatetags.figures import MISSING, significant

register = template.Library()


@register.filter
def dollars(micro: int | None) -> str:
    """`$14,000`, `$922.40`, `$8.42`, `$0.117`: cents from a dollar up, three significant figures below; half up."""
    if micro is None:
        return MISSING
    value = Decimal(int(micro)) / 1_000_000
    if 0 < abs(value) < 1:
        text = significant(value)
        return f"${text}" if len(text.partition(".")[2]) > 1 else f"${Decimal(text):.2f}"
    cents = value.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"${cents:,.0f}" if cents == cents.to_integral_value() else f"${cents:,.2f}"


@register.filter
def dollars_exact(micro: int | None) -> str:
    """`$0.19444`: five decimals, for what is divided by many."""
    return (
        MISSING
        if micro is None
        else f"${(Decimal(int(micro)) / 1_000_000).quantize(Decimal('0.00001'), ROUND_HALF_UP)}"
    )
