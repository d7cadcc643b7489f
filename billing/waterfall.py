"""How much is allowed, and from where: one definitive verdict per request. Pure: standard library only.

Hard limits come first, in order; reaching one refuses and takes nothing. Then the buckets in order, as many as it
needs: included allowance, promotional credits (soonest to expire first), purchased credits. Only when all of them
together are too little is a request refused for lack of credit. Money is micro-credits, units are micro-units.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from billing.pricing import MICRO, in_credits

VERSION = 1  # of these rules; every decision records it

MINUTE = timedelta(minutes=1)
LOOK_AGAIN_S = 5.0  # nobody knows when open work ends, so this is only a polite pause between two tries

ALLOWANCE, PROMOTIONAL, PURCHASED = "allowance", "promotional", "purchased"
ORDER = (ALLOWANCE, PROMOTIONAL, PURCHASED)
IN_WORDS = {
    ALLOWANCE: "the included allowance",
    PROMOTIONAL: "promotional credits",
    PURCHASED: "purchased credits",
}


@dataclass(frozen=True)
class Limits:
    requests_per_minute: int
    max_open: int
    units_in_flight_micro: int


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
    """Everything a verdict depends on, as it stands under the lock on the wallet."""

    now: datetime
    limits: Limits
    rate_tat: datetime | None
    open_jobs: int
    units_in_flight_micro: int
    buckets: tuple[Bucket, ...]
    next_allowance_at: datetime | None = None
    next_allowance: int = 0


@dataclass(frozen=True)
class Request:
    units_micro: int
    amount: int


@dataclass(frozen=True)
class Layer:
    """One layer as it was found. Outcomes: passed, taken, not_needed, empty, short, refused, not_reached."""

    layer: str
    unit: str  # requests, jobs, micro_units or micro_credits
    limit: int | None
    used: int | None
    asked: int
    taken: int
    remaining: int
    outcome: str


@dataclass(frozen=True)
class Take:
    """Draw `amount` from `account`; the takes of a verdict stand in the order in which they are captured."""

    layer: str
    account: int | None
    amount: int


@dataclass(frozen=True)
class Verdict:
    """`rate_tat` is what the wallet must store when the request goes ahead; None when it is refused."""

    allowed: bool
    code: str
    message: str
    would_allow: str
    retry_after_s: float | None
    layers: tuple[Layer, ...]
    takes: tuple[Take, ...]
    rate_tat: datetime | None

    def layer_rows(self) -> list[dict]:
        return [asdict(layer) for layer in self.layers]


def decide(snapshot: Snapshot, request: Request) -> Verdict:
    """The verdict on one request. Raises ValueError for a request of no units or a negative amount."""
    if request.units_micro <= 0 or request.amount < 0:
        raise ValueError(f"a request has units and no negative amount: {request}")
    buckets = _in_order(snapshot)
    passed: list[Layer] = []
    for check in (_rate, _open_jobs, _units_in_flight):
        layer, refusal = check(snapshot, request)
        passed.append(layer)
        if refusal is not None:
            return _refused(refusal, passed + _not_reached(passed, buckets, snapshot, request))
    return _draw(snapshot, request, passed, buckets)


@dataclass(frozen=True)
class _Refusal:
    code: str
    message: str
    would_allow: str
    retry_after_s: float | None


def _refused(refusal: _Refusal, layers: list[Layer]) -> Verdict:
    return Verdict(
        allowed=False,
        code=refusal.code,
        message=f"{refusal.message} Nothing was charged.",
        would_allow=refusal.would_allow,
        retry_after_s=refusal.retry_after_s,
        layers=tuple(_untaken(layer) for layer in layers),
        takes=(),
        rate_tat=None,
    )


def _untaken(layer: Layer) -> Layer:
    """A refused request took nothing, not even from the limits that it passed."""
    return replace(layer, taken=0, remaining=layer.limit - layer.used) if layer.outcome == "passed" else layer


def rate_interval(per_minute: int) -> timedelta:
    """The emission interval of the generic cell rate algorithm; a burst may be one minute's worth."""
    return MINUTE / per_minute


def _rate(snapshot: Snapshot, request: Request) -> tuple[Layer, _Refusal | None]:
    limit = snapshot.limits.requests_per_minute
    interval = rate_interval(limit)
    ahead = max(snapshot.rate_tat or snapshot.now, snapshot.now) - snapshot.now
    used = min(limit, -(-ahead // interval))
    wait = ahead - interval * (limit - 1)
    if wait <= timedelta(0):
        return Layer("requests_per_minute", "requests", limit, used, 1, 1, limit - used - 1, "passed"), None
    seconds = wait.total_seconds()
    refusal = _Refusal(
        "rate_limit_exceeded",
        f"Your organization may make {limit} generation requests per minute and has used them.",
        f"The same request in {_seconds(seconds)}.",
        seconds,
    )
    return Layer("requests_per_minute", "requests", limit, used, 1, 0, 0, "refused"), refusal


def _open_jobs(snapshot: Snapshot, request: Request) -> tuple[Layer, _Refusal | None]:
    limit, used = snapshot.limits.max_open, snapshot.open_jobs
    if used < limit:
        return Layer("open_jobs", "jobs", limit, used, 1, 1, limit - used - 1, "passed"), None
    refusal = _Refusal(
        "concurrency_limit_exceeded",
        f"Your organization may have {limit} open jobs and has {used}.",
        "The same request once one of the open jobs has finished or was cancelled.",
        LOOK_AGAIN_S,
    )
    return Layer("open_jobs", "jobs", limit, used, 1, 0, 0, "refused"), refusal


def _units_in_flight(snapshot: Snapshot, request: Request) -> tuple[Layer, _Refusal | None]:
    limit, used, asked = (
        snapshot.limits.units_in_flight_micro,
        snapshot.units_in_flight_micro,
        request.units_micro,
    )
    free = max(0, limit - used)
    if asked <= free:
        return Layer(
            "units_in_flight", "micro_units", limit, used, asked, asked, free - asked, "passed"
        ), None
    if asked > limit:
        would_allow, retry = f"A request of at most {in_units(limit)} units, or a larger tier.", None
    else:
        would_allow = f"The same request once {in_units(asked - free)} units of the open work have finished"
        would_allow += f", or one of at most {in_units(free)} units now." if free >= MICRO else "."
        retry = LOOK_AGAIN_S
    refusal = _Refusal(
        "concurrency_limit_exceeded",
        f"Your organization may have {in_units(limit)} compute units in flight and has {in_units(used)}; "
        f"this request would add {in_units(asked)}.",
        would_allow,
        retry,
    )
    return Layer("units_in_flight", "micro_units", limit, used, asked, 0, free, "refused"), refusal


def _in_order(snapshot: Snapshot) -> list[Bucket]:
    live = [b for b in snapshot.buckets if b.expires_at is None or b.expires_at > snapshot.now]
    return sorted(live, key=lambda b: (ORDER.index(b.layer), b.expires_at or snapshot.now, b.account or 0))


def _draw(snapshot: Snapshot, request: Request, passed: list[Layer], buckets: list[Bucket]) -> Verdict:
    left, layers, takes = request.amount, list(passed), []
    total = sum(bucket.available for bucket in buckets)
    if total < request.amount:
        short = [_bucket_layer(b, request.amount, 0, "short" if b.available else "empty") for b in buckets]
        return _refused(_no_credit(snapshot, request, buckets, total), passed + short)
    for bucket in buckets:
        taken = min(left, bucket.available)
        outcome = "taken" if taken else ("not_needed" if left == 0 else "empty")
        layers.append(_bucket_layer(bucket, left, taken, outcome))
        if taken:
            takes.append(Take(bucket.layer, bucket.account, taken))
        left -= taken
    tat = max(snapshot.rate_tat or snapshot.now, snapshot.now)
    return Verdict(
        allowed=True,
        code="",
        message=_allowed_in_words(request, takes),
        would_allow="",
        retry_after_s=None,
        layers=tuple(layers),
        takes=tuple(takes),
        rate_tat=tat + rate_interval(snapshot.limits.requests_per_minute),
    )


def _bucket_layer(bucket: Bucket, asked: int, taken: int, outcome: str) -> Layer:
    used = None if bucket.limit is None else bucket.limit - bucket.available
    remaining = bucket.available - taken
    return Layer(bucket.layer, "micro_credits", bucket.limit, used, asked, taken, remaining, outcome)


def _not_reached(
    passed: list[Layer], buckets: list[Bucket], snapshot: Snapshot, request: Request
) -> list[Layer]:
    """The layers after the one that refused, as they stood."""
    hard = [_open_jobs(snapshot, request)[0], _units_in_flight(snapshot, request)[0]][len(passed) - 1 :]
    rest = [
        replace(layer, taken=0, remaining=max(0, layer.limit - layer.used), outcome="not_reached")
        for layer in hard
    ]
    return rest + [_bucket_layer(bucket, request.amount, 0, "not_reached") for bucket in buckets]


def _no_credit(snapshot: Snapshot, request: Request, buckets: list[Bucket], total: int) -> _Refusal:
    held = {layer: sum(b.available for b in buckets if b.layer == layer) for layer in ORDER}
    has = ", ".join(f"{in_credits(held[layer])} in {IN_WORDS[layer]}" for layer in ORDER)
    missing = request.amount - total
    would_allow, retry = f"{in_credits(missing)} credits more.", None
    if _enough_tomorrow(snapshot, request, buckets):
        would_allow = (
            f"{in_credits(missing)} credits more now, or the same request after the allowance renews at "
            f"{snapshot.next_allowance_at:%Y-%m-%d %H:%M} UTC."
        )
        retry = (snapshot.next_allowance_at - snapshot.now).total_seconds()
    return _Refusal(
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


def in_units(units_micro: int) -> str:
    """Micro-units as units for people: as few decimals as it takes ("150", "52.5")."""
    return f"{units_micro / MICRO:,.6f}".rstrip("0").rstrip(".")


def _seconds(seconds: float) -> str:
    whole = max(1, -int(-seconds // 1))
    return "1 second" if whole == 1 else f"{whole} seconds"
