"""The limits that no money lifts: requests per minute, open jobs, units in flight, and the customer's own budgets.

Pure: standard library only. Reaching one refuses; nothing is taken, not even from the limits that were passed.
Money is micro-credits, units are micro-units.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing.pricing import MICRO, in_credits

MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)  # the finest time that is stored
MOST_A_MINUTE = MINUTE // TICK
LOOK_AGAIN_S = 5.0  # nobody knows when open work ends, so this is only a polite pause between two tries
OF_WHOM = {"organization": "your organization", "member": "this member", "key": "this API key"}


@dataclass(frozen=True)
class Limits:
    """`requests_per_minute_key` is None where no API key asks."""

    requests_per_minute: int
    max_open: int
    units_in_flight_micro: int
    requests_per_minute_key: int | None = None


@dataclass(frozen=True)
class Budget:
    """A monthly budget that applies to the request: `scope` is organization, member or key.

    `used` is what was charged this month and what is held; `number` is opaque here.
    """

    scope: str
    number: int
    limit: int
    used: int
    hard_stop: bool
    renews_at: datetime
    soft_percent: int = 100

    @property
    def soft_micro(self) -> int:
        """From how much on its owner wants to be told, rounded up."""
        return -(-self.limit * self.soft_percent // 100)


@dataclass(frozen=True)
class InFlight:
    """What the limits are held against. Arrival times are those of the generic cell rate algorithm."""

    now: datetime
    limits: Limits
    rate_tat: datetime | None
    key_tat: datetime | None
    open_jobs: int
    units_in_flight_micro: int
    budgets: tuple[Budget, ...]


@dataclass(frozen=True)
class Layer:
    """One layer as it was found. Outcomes: passed, over (a budget without a stop), taken, not_needed, empty, short,
    refused, not_reached."""

    layer: str
    unit: str  # requests, jobs, micro_units or micro_credits
    limit: int | None
    used: int | None
    asked: int
    taken: int
    remaining: int
    outcome: str


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str
    would_allow: str
    retry_after_s: float | None


Checked = tuple[Layer, Refusal | None]


def check(state: InFlight, units_micro: int, amount: int) -> tuple[list[Layer], Refusal | None]:
    """Every limit in order, and the first refusal; the layers after it are as they stood."""
    refusal: Refusal | None = None
    layers: list[Layer] = []
    for layer, refused in _each(state, units_micro, amount):
        layers.append(layer if refusal is None else _not_reached(layer))
        refusal = refusal or refused
    return layers, refusal


def untouched(state: InFlight, units_micro: int, amount: int) -> list[Layer]:
    """Every limit as it stood, for a request that was refused before any of them was asked."""
    return [_not_reached(layer) for layer, _ in _each(state, units_micro, amount)]


def _not_reached(layer: Layer) -> Layer:
    left = max(0, (layer.limit or 0) - (layer.used or 0))
    return replace(layer, taken=0, remaining=left, outcome="not_reached")


def _each(state: InFlight, units_micro: int, amount: int) -> list[Checked]:
    limits = state.limits
    checked = [_rate(state, limits.requests_per_minute, state.rate_tat, "")]
    if limits.requests_per_minute_key is not None:
        checked.append(_rate(state, limits.requests_per_minute_key, state.key_tat, "_key"))
    checked += [_open_jobs(state), _units_in_flight(state, units_micro)]
    return checked + [_budget(state, budget, amount) for budget in state.budgets]


def rate_interval(per_minute: int) -> timedelta:
    """The emission interval of the generic cell rate algorithm; a burst may be one minute's worth.

    It is a microsecond at least, the finest time that is stored: a limit above `MOST_A_MINUTE` counts as that.
    """
    return max(TICK, MINUTE / per_minute)


def next_tat(tat: datetime | None, now: datetime, per_minute: int) -> datetime:
    """The arrival time to store when a request goes ahead."""
    return now + _ahead(tat, now) + rate_interval(per_minute)


def _ahead(tat: datetime | None, now: datetime) -> timedelta:
    """How far the stored arrival time is ahead. A burst brings it a minute ahead and one interval, a minute at most;
    further is of a clock that was wrong, and would shut its owner out until it is that late: it counts as none."""
    ahead = tat - now if tat else timedelta(0)
    return ahead if timedelta(0) < ahead <= 2 * MINUTE else timedelta(0)


def _rate(state: InFlight, limit: int, tat: datetime | None, whose: str) -> Checked:
    interval, limit = rate_interval(limit), min(limit, MOST_A_MINUTE)
    ahead = _ahead(tat, state.now)
    used = min(limit, -(-ahead // interval))
    wait = ahead - interval * (limit - 1)
    name = f"requests_per_minute{whose}"
    if wait <= timedelta(0):
        return Layer(name, "requests", limit, used, 1, 1, limit - used - 1, "passed"), None
    seconds = wait.total_seconds()
    refusal = Refusal(
        "rate_limit_exceeded",
        f"{'This API key' if whose else 'Your organization'} may make {limit} generation requests per minute and has "
        "used them.",
        f"The same request in {in_seconds(seconds)}.",
        seconds,
    )
    return Layer(name, "requests", limit, used, 1, 0, 0, "refused"), refusal


def _open_jobs(state: InFlight) -> Checked:
    limit, used = state.limits.max_open, state.open_jobs
    if used < limit:
        return Layer("open_jobs", "jobs", limit, used, 1, 1, limit - used - 1, "passed"), None
    refusal = Refusal(
        "concurrency_limit_exceeded",
        f"Your organization may have {limit} open jobs and has {used}.",
        "The same request once one of the open jobs has finished or was cancelled.",
        LOOK_AGAIN_S,
    )
    return Layer("open_jobs", "jobs", limit, used, 1, 0, 0, "refused"), refusal


def _units_in_flight(state: InFlight, asked: int) -> Checked:
    limit, used = state.limits.units_in_flight_micro, state.units_in_flight_micro
    free = max(0, limit - used)
    name, unit = "units_in_flight", "micro_units"
    if asked <= free:
        return Layer(name, unit, limit, used, asked, asked, free - asked, "passed"), None
    if asked > limit:
        would_allow, retry = f"A request of at most {in_units(limit)} units, or a larger tier.", None
    else:
        would_allow = f"The same request once {in_units(asked - free)} units of the open work have finished"
        would_allow += f", or one of at most {in_units(free)} units now." if free >= MICRO else "."
        retry = LOOK_AGAIN_S
    refusal = Refusal(
        "concurrency_limit_exceeded",
        f"Your organization may have {in_units(limit)} compute units in flight and has {in_units(used)}; "
        f"this request would add {in_units(asked)}.",
        would_allow,
        retry,
    )
    return Layer(name, unit, limit, used, asked, 0, free, "refused"), refusal


def _budget(state: InFlight, budget: Budget, amount: int) -> Checked:
    name, unit, left = f"budget_{budget.scope}", "micro_credits", max(0, budget.limit - budget.used)
    if amount <= left or amount == 0:
        layer = Layer(name, unit, budget.limit, budget.used, amount, amount, left - amount, "passed")
        return layer, None
    if not budget.hard_stop:
        return Layer(name, unit, budget.limit, budget.used, amount, amount, 0, "over"), None
    more = f"A budget that is {in_credits(amount - left)} credits higher"
    fits = amount <= budget.limit
    renewal = f", or the same request after the budget renews at {budget.renews_at:%Y-%m-%d %H:%M} UTC"
    refusal = Refusal(
        "budget_exceeded",
        f"The monthly budget of {OF_WHOM[budget.scope]} is {in_credits(budget.limit)} credits, of which "
        f"{in_credits(budget.used)} are used or held; this request needs {in_credits(amount)}.",
        f"{more}{renewal if fits else ''}.",
        (budget.renews_at - state.now).total_seconds() if fits else None,
    )
    return Layer(name, unit, budget.limit, budget.used, amount, 0, left, "refused"), refusal


def in_units(units_micro: int) -> str:
    """Micro-units as units for people: as few decimals as it takes ("150", "52.5")."""
    return f"{units_micro / MICRO:,.6f}".rstrip("0").rstrip(".")


def in_seconds(seconds: float) -> str:
    """At least one whole second, rounded up, in words."""
    whole = max(1, -int(-seconds // 1))
    return "1 second" if whole == 1 else f"{whole} seconds"
