"""How much is allowed, and from where: one definitive verdict per request. Pure: standard library only.

Hard limits and budgets come first, in order (limits.py); reaching one refuses and takes nothing. Then the buckets in
order, as many as it needs: included allowance, promotional credits (soonest to expire first), purchased credits,
overage by contract. Only when all of them together are too little is a request refused for lack of credit; the verdict
then says whether an automatic top-up would be enough. Money is micro-credits, units are micro-units.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from billing.limits import (
    Budget,
    InFlight,
    Layer,
    Limits,
    Refusal,
    check,
    in_units,
    next_tat,
    rate_interval,
    untouched,
)
from billing.pricing import in_credits

__all__ = [
    "ALLOWANCE",
    "ORDER",
    "OVERAGE",
    "PROMOTIONAL",
    "PURCHASED",
    "TEXT_FILTER",
    "VERSION",
    "Bucket",
    "Budget",
    "Layer",
    "Limits",
    "Refusal",
    "Request",
    "Snapshot",
    "Take",
    "Verdict",
    "decide",
    "in_units",
    "rate_interval",
    "sources_in_words",
    "turn_away",
]

VERSION = 2  # of these rules; every decision records it

ALLOWANCE, PROMOTIONAL, PURCHASED, OVERAGE = "allowance", "promotional", "purchased", "overage"
ORDER = (ALLOWANCE, PROMOTIONAL, PURCHASED, OVERAGE)
TOP_UP = "automatic_top_up"
TEXT_FILTER = "text_filter"  # it stands before the waterfall
IN_WORDS = {
    ALLOWANCE: "the included allowance",
    PROMOTIONAL: "promotional credits",
    PURCHASED: "purchased credits",
    OVERAGE: "overage by contract",
}


@dataclass(frozen=True)
class Bucket:
    """Something to draw on. `account` is opaque here; `limit` is what was granted, where that is known."""

    layer: str
    account: int | None
    available: int
    limit: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything a verdict depends on, as it stands under the lock on the wallet.

    `top_up_micro` is the pack that an automatic top-up would buy; None where it is off or has been tried.
    """

    now: datetime
    limits: Limits
    rate_tat: datetime | None
    open_jobs: int
    units_in_flight_micro: int
    buckets: tuple[Bucket, ...]
    next_allowance_at: datetime | None = None
    next_allowance: int = 0
    key_tat: datetime | None = None
    budgets: tuple[Budget, ...] = ()
    top_up_micro: int | None = None


@dataclass(frozen=True)
class Request:
    units_micro: int
    amount: int


@dataclass(frozen=True)
class Take:
    """Draw `amount` from `account`; the takes of a verdict stand in the order in which they are captured."""

    layer: str
    account: int | None
    amount: int


@dataclass(frozen=True)
class Verdict:
    """`rate_tat` and `key_tat` are what the wallet must store when the request goes ahead; None when it is refused.

    `top_up_helps` says that an automatic top-up would be enough for a request that was refused for lack of credit.
    """

    allowed: bool
    code: str
    message: str
    would_allow: str
    retry_after_s: float | None
    layers: tuple[Layer, ...]
    takes: tuple[Take, ...]
    rate_tat: datetime | None
    key_tat: datetime | None = None
    top_up_helps: bool = False

    def layer_rows(self) -> list[dict]:
        return [{name: getattr(layer, name) for name in Layer.__dataclass_fields__} for layer in self.layers]


def decide(snapshot: Snapshot, request: Request) -> Verdict:
    """The verdict on one request. Raises ValueError for a request of no units or a negative amount."""
    if request.units_micro <= 0 or request.amount < 0:
        raise ValueError(f"a request has units and no negative amount: {request}")
    buckets = _in_order(snapshot)
    passed, refusal = check(_in_flight(snapshot), request.units_micro, request.amount)
    if refusal is not None:
        rest = [_bucket_layer(bucket, request.amount, 0, "not_reached") for bucket in buckets]
        return _refused(refusal, passed + rest)
    return _draw(snapshot, request, passed, buckets)


def turn_away(snapshot: Snapshot, request: Request, layer: str, refusal: Refusal) -> Verdict:
    """The verdict on a request that something before the waterfall refused: `layer` refused, no other was reached."""
    first = Layer(layer, "requests", None, None, 1, 0, 0, "refused")
    limits = untouched(_in_flight(snapshot), request.units_micro, request.amount)
    rest = [_bucket_layer(bucket, request.amount, 0, "not_reached") for bucket in _in_order(snapshot)]
    return _refused(refusal, [first, *limits, *rest])


def _in_flight(snapshot: Snapshot) -> InFlight:
    return InFlight(
        snapshot.now,
        snapshot.limits,
        snapshot.rate_tat,
        snapshot.key_tat,
        snapshot.open_jobs,
        snapshot.units_in_flight_micro,
        snapshot.budgets,
    )


def _refused(refusal: Refusal, layers: list[Layer], *, top_up_helps: bool = False) -> Verdict:
    return Verdict(
        allowed=False,
        code=refusal.code,
        message=f"{refusal.message} Nothing was charged.",
        would_allow=refusal.would_allow,
        retry_after_s=refusal.retry_after_s,
        layers=tuple(_untaken(layer) for layer in layers),
        takes=(),
        rate_tat=None,
        top_up_helps=top_up_helps,
    )


def _untaken(layer: Layer) -> Layer:
    """A refused request took nothing, not even from the limits that it passed."""
    if layer.outcome not in ("passed", "over"):
        return layer
    return replace(layer, taken=0, remaining=max(0, layer.limit - layer.used))


def _in_order(snapshot: Snapshot) -> list[Bucket]:
    live = [b for b in snapshot.buckets if b.expires_at is None or b.expires_at > snapshot.now]
    return sorted(live, key=lambda b: (ORDER.index(b.layer), b.expires_at or snapshot.now, b.account or 0))


def _draw(snapshot: Snapshot, request: Request, passed: list[Layer], buckets: list[Bucket]) -> Verdict:
    left, layers, takes = request.amount, list(passed), []
    total = sum(bucket.available for bucket in buckets)
    if total < request.amount:
        short = [_bucket_layer(b, request.amount, 0, "short" if b.available else "empty") for b in buckets]
        top_up = _top_up(snapshot, request.amount - total)
        helps = any(layer.outcome == "would_do" for layer in top_up)
        refusal = _no_credit(snapshot, request, buckets, total)
        return _refused(refusal, passed + short + top_up, top_up_helps=helps)
    for bucket in buckets:
        taken = min(left, bucket.available)
        outcome = "taken" if taken else ("not_needed" if left == 0 else "empty")
        layers.append(_bucket_layer(bucket, left, taken, outcome))
        if taken:
            takes.append(Take(bucket.layer, bucket.account, taken))
        left -= taken
    limits, now = snapshot.limits, snapshot.now
    per_key = limits.requests_per_minute_key
    return Verdict(
        allowed=True,
        code="",
        message=_allowed_in_words(request, takes),
        would_allow="",
        retry_after_s=None,
        layers=tuple(layers),
        takes=tuple(takes),
        rate_tat=next_tat(snapshot.rate_tat, now, limits.requests_per_minute),
        key_tat=next_tat(snapshot.key_tat, now, per_key) if per_key is not None else None,
    )


def _top_up(snapshot: Snapshot, missing: int) -> list[Layer]:
    """What an automatic top-up could do about it, where one is switched on."""
    pack = snapshot.top_up_micro
    if pack is None:
        return []
    outcome = "would_do" if missing <= pack else "too_little"
    return [Layer(TOP_UP, "micro_credits", pack, None, missing, 0, pack, outcome)]


def _bucket_layer(bucket: Bucket, asked: int, taken: int, outcome: str) -> Layer:
    used = None if bucket.limit is None else bucket.limit - bucket.available
    remaining = bucket.available - taken
    return Layer(bucket.layer, "micro_credits", bucket.limit, used, asked, taken, remaining, outcome)


def _no_credit(snapshot: Snapshot, request: Request, buckets: list[Bucket], total: int) -> Refusal:
    held = {layer: sum(b.available for b in buckets if b.layer == layer) for layer in ORDER}
    shown = [layer for layer in ORDER if layer != OVERAGE or any(b.layer == OVERAGE for b in buckets)]
    has = ", ".join(f"{in_credits(held[layer])} in {IN_WORDS[layer]}" for layer in shown)
    missing = request.amount - total
    would_allow, retry = f"{in_credits(missing)} credits more.", None
    if _enough_tomorrow(snapshot, request, buckets):
        would_allow = (
            f"{in_credits(missing)} credits more now, or the same request after the allowance renews at "
            f"{snapshot.next_allowance_at:%Y-%m-%d %H:%M} UTC."
        )
        retry = (snapshot.next_allowance_at - snapshot.now).total_seconds()
    return Refusal(
        "credit_balance_exhausted",
        f"This request needs {in_credits(request.amount)} credits and your organization has "
        f"{in_credits(total)}: {has}.",
        would_allow,
        retry,
    )


def _enough_tomorrow(snapshot: Snapshot, request: Request, buckets: list[Bucket]) -> bool:
    if snapshot.next_allowance_at is None:
        return False
    lasting = sum(
        b.available
        for b in buckets
        if b.layer != ALLOWANCE and (b.expires_at is None or b.expires_at > snapshot.next_allowance_at)
    )
    return lasting + snapshot.next_allowance >= request.amount


def _allowed_in_words(request: Request, takes: list[Take]) -> str:
    if not takes:
        return "Allowed; it costs nothing."
    return f"Allowed; {in_credits(request.amount)} credits were set aside: {sources_in_words(takes)}."


def sources_in_words(takes: Iterable[Take]) -> str:
    """Where an amount comes from ("15.00 from the included allowance, 3.00 from purchased credits")."""
    parts = dict.fromkeys(ORDER, 0)
    for take in takes:
        parts[take.layer] += take.amount
    return ", ".join(f"{in_credits(parts[layer])} from {IN_WORDS[layer]}" for layer in ORDER if parts[layer])
