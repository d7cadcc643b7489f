"""What an address of the overview asks for: a span of time, filters, and whether the week before stands beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from accounts.errors import ApiError
from billing import spans
from console.overview.policy import grains
from console.overview.policy.grains import Steps

RANGES = {
    "1h": ("1 h", timedelta(hours=1)),
    "6h": ("6 h", timedelta(hours=6)),
    "24h": ("24 h", timedelta(days=1)),
    "7d": ("7 d", timedelta(days=7)),
    "30d": ("30 d", timedelta(days=30)),
    "90d": ("90 d", timedelta(days=90)),
}
USUAL = "6h"
LONGEST = timedelta(days=190)
FILTERS = ("pool", "tier", "model")
COMPARE = "week"


@dataclass(frozen=True)
class Asked:
    """`range` is empty where the address names `from` and `to`; `only` holds the filters that narrow it."""

    steps: Steps
    range: str
    only: dict[str, str]
    compare: bool
    now: datetime

    @property
    def query(self) -> str:
        """The same as an address holds it."""
        return urlencode(self.given)

    @property
    def given(self) -> dict[str, str]:
        span = (
            {"range": self.range}
            if self.range
            else {"from": iso(self.steps.since), "to": iso(self.steps.until)}
        )
        return {**span, **self.only, **({"compare": COMPARE} if self.compare else {})}

    def with_(self, **changed: str) -> str:
        """The query with some of it replaced; an empty value takes it out."""
        return urlencode({name: value for name, value in {**self.given, **changed}.items() if value})

    @property
    def moves(self) -> bool:
        """Whether it reaches into the present."""
        return self.steps.until > self.now


def ask(given: Mapping[str, str], now: datetime, known: Mapping[str, Mapping[str, str]]) -> Asked:
    """What is asked; `known` names the pools, tiers and models there are. Raises `ApiError` naming what can't be."""
    only = {}
    for name in FILTERS:
        value = given.get(name, "")
        if value and value not in known[name]:
            raise ApiError("invalid_value", f"There is no {name} {value!r:.40} to filter by.", param=name)
        if value:
            only[name] = value
    since, until, chosen = _span(given, now)
    compare = given.get("compare", "") == COMPARE
    return Asked(grains.steps(since, until, now), chosen, only, compare, now)


def _span(given: Mapping[str, str], now: datetime) -> tuple[datetime, datetime, str]:
    if given.get("from") or given.get("to"):
        until = spans.moment(given["to"], "to", end=True) if given.get("to") else now
        since = spans.moment(given["from"], "from") if given.get("from") else until - RANGES[USUAL][1]
        if not timedelta(0) < until - since <= LONGEST:
            message = f"`from` lies before `to`, at most {LONGEST.days} days."
            raise ApiError("invalid_value", message, param="from")
        return since, until, ""
    chosen = given.get("range") or USUAL
    if chosen not in RANGES:
        raise ApiError("invalid_value", f"`range` is one of {', '.join(RANGES)}.", param="range")
    return now - RANGES[chosen][1], now, chosen


def iso(moment: datetime) -> str:
    """A moment as an address holds it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
