"""Service levels in words: shares that don't round up to whole, and how fast a budget is used."""

from decimal import ROUND_DOWN, Decimal

from django import template

from console.templatetags.figures import significant

register = template.Library()


@register.filter
def met(share: float) -> str:
    """A share that met a level, rounded down: 99.99 % is never called 100 %."""
    percent = (Decimal(str(share)) * 100).quantize(Decimal("0.01"), ROUND_DOWN).normalize()
    return f"{percent:f} %"


@register.filter
def times(burn: float) -> str:
    """A burn rate: `0`, `1.3×`, `over` where nothing may fail and something did."""
    return "over" if burn == float("inf") else f"{significant(burn)}×" if burn else "0"
