"""Figures as people read them: units always, three significant figures, humane durations, times with UTC on hover.

Sums of money that have to add up on a page (a statement, a balance) are written in full by `amount`; `credits` rounds
for reading.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

MICRO = Decimal(1_000_000)
MISSING = "–"


def significant(value: Decimal | float, figures: int = 3) -> str:
    """`value` with `figures` significant figures, thousands separated, never in exponent form, no padding zeros."""
    number = Decimal(str(value))
    if number == 0:
        return "0"
    places = figures - 1 - number.adjusted()
    if places <= 0:
        return f"{number.quantize(Decimal(1), ROUND_HALF_UP):,}"
    text = f"{number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plural(text: str, word: str) -> str:
    return f"{text} {word}" if text in ("1", "-1", "−1") else f"{text} {word}s"


@register.filter
def credits(micro: int | None) -> str:
    """Micro-credits as `41 credits`, `0.3 credits`, `1 credit`."""
    return MISSING if micro is None else _plural(significant(Decimal(micro) / MICRO), "credit")


@register.filter
def amount(micro: int | None) -> str:
    """Micro-credits in full, without the unit, for columns that have to add up: `999.7`, `−0.3`, `0.000001`."""
    if micro is None:
        return MISSING
    text = f"{abs(Decimal(micro)) / MICRO:,.6f}".rstrip("0").rstrip(".")
    return f"−{text}" if micro < 0 else text


@register.filter
def signed_amount(micro: int | None) -> str:
    """As `amount`, with a plus for what came in."""
    return f"+{amount(micro)}" if micro is not None and micro > 0 else amount(micro)


@register.filter
def credits_exact(micro: int | None) -> str:
    """Micro-credits in full with the unit: `999.7 credits`."""
    return MISSING if micro is None else _plural(amount(micro), "credit")


@register.filter
def floored(micro: int | None) -> str:
    """What can be spent, without the unit: two decimals at most, rounded down so that it never promises too much."""
    return MISSING if micro is None else amount(micro // 10_000 * 10_000)


@register.filter
def balance(micro: int | None) -> str:
    """As `floored`, with the unit."""
    return MISSING if micro is None else _plural(floored(micro), "credit")


@register.filter
def money(cents: int | None, currency: str = "usd") -> str:
    """Cents as `$10.00`, or `10.00 EUR` in another currency."""
    if cents is None:
        return MISSING
    return f"${cents / 100:,.2f}" if currency == "usd" else f"{cents / 100:,.2f} {currency.upper()}"


@register.filter
def units(micro: int | None) -> str:
    """Micro-units as `12.5 units`."""
    return MISSING if micro is None else _plural(significant(Decimal(micro) / MICRO), "unit")


@register.filter
def seconds(value: float | timedelta | None) -> str:
    """Seconds as people say them: `350 ms`, `1.2 s`, `12 s`, `2 min 5 s`, `3 h 4 min`, `2 d 3 h`."""
    if value is None or value == "":
        return MISSING
    total = value.total_seconds() if isinstance(value, timedelta) else float(value)
    sign = "−" if total < 0 else ""
    total = abs(total)
    if total == 0:
        return "0 s"
    if total < 0.9995:
        return f"{sign}{max(1, round(total * 1000))} ms"
    if total < 9.95:
        return f"{sign}{total:.1f} s"
    return sign + _whole_seconds(round(total))


def _whole_seconds(total: int) -> str:
    steps = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
    for size, name, next_size, next_name in steps:
        if total >= size:
            rest = total % size // next_size
            return f"{total // size} {name} {rest} {next_name}" if rest else f"{total // size} {name}"
    return f"{total} s"


@register.filter
def milliseconds(value: float | None) -> str:
    """Milliseconds as people say them."""
    return MISSING if value is None else seconds(value / 1000)


@register.filter
def since(start: datetime | None, end: datetime | None) -> str:
    """The time from `start` to `end`, as `seconds` writes it."""
    return MISSING if start is None or end is None else seconds((end - start).total_seconds())


@register.filter
def number(value: float | int | None) -> str:
    """A count in full, or another number with three significant figures."""
    if value is None or value == "":
        return MISSING
    return f"{value:,}" if isinstance(value, int) else significant(value)


@register.filter
def percent(share: float | None) -> str:
    """A share of one as `12.5 %`."""
    return MISSING if share is None else f"{significant(round(share * 100, 1))} %"


@register.filter
def size_of(value: int | None) -> str:
    """Bytes as `1.2 kB`."""
    if value is None:
        return MISSING
    for limit, unit in ((1_000, "B"), (1_000_000, "kB"), (1_000_000_000, "MB")):
        if value < limit:
            return f"{significant(value / (limit / 1_000))} {unit}"
    return f"{significant(value / 1_000_000_000)} GB"


@register.filter
def when(moment: datetime | None, form: str = "date") -> str | SafeString:
    """A moment: written in UTC, shown in local time by static/js/when.js, with UTC on hover.

    `form` is `date` (21 Nov, 15:34, with the year where it isn't this one), `time` (15:34:12) or `ago` (3 min ago).
    """
    if moment is None:
        return MISSING
    utc = moment.astimezone(UTC)
    text = f"{utc:%H:%M:%S} UTC" if form == "time" else f"{utc.day} {utc:%b %Y %H:%M} UTC"
    return format_html(
        '<time datetime="{}" title="{}" data-when="{}">{}</time>',
        utc.isoformat(timespec="milliseconds"),
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        form,
        text,
    )


@register.filter
def moment(text: str) -> datetime:
    """A moment that was stored as ISO 8601 text, inside JSON."""
    return datetime.fromisoformat(text)


@register.filter
def get(values: dict, key: str) -> object:
    """The value under a key that is itself a value; None where there is none."""
    return values.get(key)


@register.filter
def short_id(value: object) -> str:
    """An id short enough for a table: its prefix and the ends of the rest."""
    head, separator, tail = str(value).rpartition("_")
    return f"{head}{separator}{tail[:6]}…{tail[-4:]}" if len(tail) > 12 else str(value)


@register.inclusion_tag("console/parts/id.html")
def id_with_copy(value: object) -> dict:
    """A short id, the whole one on hover, and a button that copies it."""
    return {"value": str(value)}
