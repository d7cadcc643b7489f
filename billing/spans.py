"""A span of time as an address names it, always UTC: `range=7d`, or `from` and `to`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from accounts.errors import ApiError

RANGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
MONTH = "month"
LONGEST = timedelta(days=400)


@dataclass(frozen=True)
class Span:
    """From `since` on, up to but without `until`. `name` is the range's, empty where its ends were named."""

    since: datetime
    until: datetime
    name: str = ""

    @property
    def length(self) -> timedelta:
        return self.until - self.since


def of(given: Mapping[str, str], now: datetime, *, otherwise: str) -> Span:
    """The span that an address asks for. `to` as a bare date includes that day. Raises `ApiError` naming the field."""
    if given.get("from") or given.get("to"):
        return _named(given, now)
    name = given.get("range") or otherwise
    until = _next_minute(now)
    if name == MONTH:
        return Span(month_start(now), until, MONTH)
    if name not in RANGES:
        known = ", ".join([*RANGES, MONTH])
        raise ApiError("invalid_value", f"`range` is one of {known}, or name `from` and `to`.", param="range")
    return Span(until - RANGES[name], until, name)


def month_start(now: datetime) -> datetime:
    """The first moment of the month, UTC."""
    return datetime.combine(now.astimezone(UTC).date().replace(day=1), time(), UTC)


def next_month(now: datetime) -> datetime:
    """The first moment after the month, UTC."""
    return month_start(month_start(now) + timedelta(days=32))


def moment(text: str, param: str, *, end: bool = False) -> datetime:
    """A date or a moment in ISO 8601; without an offset it is UTC. As an `end` a date is the end of its day."""
    try:
        if len(text) == 10:
            day = datetime.combine(date.fromisoformat(text), time(), UTC)
            return day + timedelta(days=1) if end else day
        # A plus in an address that nobody escaped arrives as a blank.
        found = datetime.fromisoformat(text.replace(" ", "+"))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        example = "2026-11-21 or 2026-11-21T14:30:00Z"
        raise ApiError(
            "invalid_value", f"`{param}` is a date or a moment, such as {example}.", param=param
        ) from None


def _named(given: Mapping[str, str], now: datetime) -> Span:
    until = moment(given["to"], "to", end=True) if given.get("to") else _next_minute(now)
    since = moment(given["from"], "from") if given.get("from") else month_start(min(until, now))
    if since >= until:
        raise ApiError("invalid_value", "`from` must be before `to`.", param="from")
    if until - since > LONGEST:
        raise ApiError("invalid_value", f"Ask for at most {LONGEST.days} days at once.", param="from")
    return Span(since, until)


def _next_minute(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
