"""Seeded workloads: what arrives, what breaks and what changes in each scenario.

The fleet is the large one of published estimates: 2.4 s a step, 50 steps on paid tiers and 30 on the free one, and
4 s for the rest of the device's part. 0.007 requests a second per GPU load it to about 72 %, as 20 requests a second
load 4,000 GPUs where each clip costs 30 % more than its steps. Of the requests 45 % are free.

The usual requests are drawn first: of one seed they are the same in every scenario that has them.

Admission is modelled by requests per minute (organization and key) and open jobs, as in the tier table. Allowance,
credit, budgets and units in flight are not: whoever floods is taken to be able to pay.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from generation.simulator.pool import LaneTerms
from generation.simulator.scenario import Arrival, Change, Failure, Fleet, Scenario

MS_PER_STEP, FIXED_MS = 2_400, 4_000
FINISHING_S = 6.0
PER_GPU_S = 0.007  # requests
ESTIMATE_ERROR = 0.05  # a clip takes up to so much more or less than was estimated
CREDIT_MICRO = 20_000_000  # $0.20
# The published target of 120 s is what a paid clip's steps take by themselves here; so a minute is added for the wait.
PAID_TARGET_S, FREE_TARGET_S = 180.0, 300.0

# As the tier table has them: weight, floor, burst cap, open jobs, requests per minute of organization and key.
LANES = (
    LaneTerms("free", "free", 1, 0.0, 3, None, True, 10, 10, 10, FREE_TARGET_S, 0),
    LaneTerms("plus", "plus", 2, 0.1, 8, None, False, 60, 60, 30, PAID_TARGET_S, CREDIT_MICRO),
    LaneTerms("pro", "pro", 4, 0.1, 24, None, False, 200, 300, 120, PAID_TARGET_S, CREDIT_MICRO),
    LaneTerms(
        "enterprise", "enterprise", 8, 0.1, 100, None, False, 1000, 1200, 300, PAID_TARGET_S, CREDIT_MICRO
    ),
)


class Chance(Protocol):
    """What is asked of a seeded generator; the standard library's `Random` is one."""

    def random(self) -> float: ...

    def expovariate(self, lambd: float, /) -> float: ...


@dataclass(frozen=True)
class Traffic:
    """A tier's requests: how many of all, from how many organizations per GPU, and with how many steps."""

    lane: str
    share: float
    organizations_per_gpu: float
    steps: int


TRAFFIC = (
    Traffic("free", 0.45, 1.0, 30),
    Traffic("plus", 0.30, 0.25, 50),
    Traffic("pro", 0.18, 0.05, 50),
    Traffic("enterprise", 0.07, 0.0125, 50),
)


@dataclass(frozen=True)
class Ask:
    """What a scenario is made of: machines, span in seconds, chance, and whether checkpoints are kept."""

    gpus: int
    horizon_s: float
    chance: Chance
    checkpoints: bool = True

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.gpus, checkpoints=self.checkpoints, finishing_s=FINISHING_S)


def clip(
    chance: Chance,
    at_s: float,
    lane: str,
    organization: object,
    steps: int,
    key: int = 0,
    nan_at: float = 0.0,
) -> Arrival:
    """A clip's arrival; its real time differs a little from the estimate."""
    estimate = FIXED_MS + steps * MS_PER_STEP
    run = int(estimate * (1.0 - ESTIMATE_ERROR + 2.0 * ESTIMATE_ERROR * chance.random()))
    return Arrival(at_s, lane, organization, estimate, run, steps, key, nan_at)


def poisson(
    ask: Ask, traffic: Traffic, *, rate: float = 1.0, since: float = 0.0, crowd: float = 1.0
) -> Iterator[Arrival]:
    """A tier's requests as a Poisson stream at `rate` times its usual, from `crowd` times as many organizations."""
    chance, lane, steps = ask.chance, traffic.lane, traffic.steps
    per_s = ask.gpus * PER_GPU_S * traffic.share * rate
    organizations = max(1, round(ask.gpus * traffic.organizations_per_gpu * crowd))
    draw, pause = chance.random, chance.expovariate
    estimate = FIXED_MS + steps * MS_PER_STEP
    least, spread = estimate * (1.0 - ESTIMATE_ERROR), estimate * 2.0 * ESTIMATE_ERROR
    at_s = since + pause(per_s)
    while at_s < ask.horizon_s:
        organization = int(draw() * organizations)
        yield Arrival(at_s, lane, organization, estimate, int(least + spread * draw()), steps)
        at_s += pause(per_s)


def usual(ask: Ask, rate: float = 1.0) -> list[Arrival]:
    """Every tier's requests at `rate` times the usual, in order."""
    return in_order(arrival for traffic in TRAFFIC for arrival in poisson(ask, traffic, rate=rate))


def in_order(arrivals: Iterator[Arrival]) -> list[Arrival]:
    return sorted(arrivals, key=_moment)


def _moment(arrival: Arrival) -> float:
    return arrival.at_s


def steady(ask: Ask) -> Scenario:
    return _scenario("steady", "Every tier as usual: the fleet is about 72 % busy.", ask, usual(ask))


def free_rush(ask: Ask) -> Scenario:
    """Ten times the free requests, from ten times as many free organizations, after a twelfth of the span."""
    begins = ask.horizon_s / 12
    free = TRAFFIC[0]
    rush = poisson(ask, free, rate=9.0, since=begins, crowd=10.0)
    words = f"The free tier asks for ten times as much from {begins / 60:.0f} min on."
    return _scenario("free-rush", words, ask, in_order(iter([*usual(ask), *rush])))


def flood(ask: Ask, *, keys: int = 200, steps: int = 50, per_gpu_s: float = 0.004) -> Scenario:
    """One Plus organization asks for half of the fleet through 200 keys, the tiers as usual beside it.

    `steps` makes its clips smaller; it then asks for as many more of them.
    """
    regular, per_s = usual(ask), ask.gpus * per_gpu_s * 50 / steps
    at_s, number, flooding = ask.chance.expovariate(per_s), 0, []
    while at_s < ask.horizon_s:
        flooding.append(clip(ask.chance, at_s, "plus", "flooder", steps, key=number % keys))
        number += 1
        at_s += ask.chance.expovariate(per_s)
    words = (
        f"One Plus organization asks for half of the fleet through {keys} keys, in clips of {steps} steps."
    )
    scenario = _scenario("flood", words, ask, in_order(iter([*regular, *flooding])))
    return replace(scenario, watched="flooder")


def small_flood(ask: Ask) -> Scenario:
    """The same flood in clips of five steps."""
    return replace(flood(ask, steps=5), name="flood-small")


def new_organizations(ask: Ask, count: int = 200) -> Scenario:
    """200 free organizations that were never here come at once and keep as much open as they may."""
    begins = ask.horizon_s / 6
    regular, every_s = usual(ask), 60.0
    coming = [
        clip(ask.chance, begins + round_ * every_s, "free", ("new", number), 30)
        for round_ in range(int((ask.horizon_s - begins) / every_s) + 1)
        for number in range(count)
        for _ in range(10)
    ]
    words = f"{count} new free organizations come at {begins / 60:.0f} min, each with ten clips and ten more a minute."
    return _scenario("new-organizations", words, ask, in_order(iter([*regular, *coming])))


def machine_failures(ask: Ask, share: float = 0.05) -> Scenario:
    """5 % of the machines die within five minutes, at a third of the span, and are back after ten."""
    begins = ask.horizon_s / 3
    regular, machines, failures = usual(ask), list(range(ask.gpus)), []
    for _ in range(max(1, round(share * ask.gpus))):
        machine = machines.pop(int(ask.chance.random() * len(machines)))
        failures.append(Failure(begins + 300.0 * ask.chance.random(), machine, 600.0))
    words = f"{len(failures)} of {ask.gpus} machines die within 5 min at {begins / 60:.0f} min; each is back after 10."
    failures.sort()
    return replace(_scenario("machine-failures", words, ask, regular), failures=failures)


def nan_storm(ask: Ask, share: float = 0.10) -> Scenario:
    """One clip in ten that arrives in the middle half hour (or half of a shorter span) blows up at some step."""
    begins, ends = ask.horizon_s / 4, ask.horizon_s / 4 + min(1800.0, ask.horizon_s / 2)
    arrivals = [
        arrival._replace(nan_at=max(0.02, ask.chance.random()))
        if begins <= arrival.at_s < ends and ask.chance.random() < share
        else arrival
        for arrival in usual(ask)
    ]
    words = f"{share:.0%} of the clips that arrive between {begins / 60:.0f} and {ends / 60:.0f} min blow up."
    return _scenario("nan-storm", words, ask, arrivals)


def weight_change(ask: Ask, weight: float = 8.0) -> Scenario:
    """Twice the usual requests, so that every lane waits; Plus goes from weight 2 to 8 half way."""
    words = (
        f"Twice the usual requests; Plus goes from weight 2 to {weight:g} at {ask.horizon_s / 120:.0f} min."
    )
    scenario = _scenario("weight-change", words, ask, usual(ask, rate=2.0))
    return replace(scenario, changes=(Change(ask.horizon_s / 2, "plus", "weight", weight),))


def without_admission(lanes: Sequence[LaneTerms]) -> list[LaneTerms]:
    """The same lanes with nothing refused."""
    return [replace(lane, max_open=None, per_minute=None, per_minute_key=None) for lane in lanes]


SCENARIOS: dict[str, Callable[[Ask], Scenario]] = {
    "steady": steady,
    "free-rush": free_rush,
    "flood": flood,
    "flood-small": small_flood,
    "new-organizations": new_organizations,
    "machine-failures": machine_failures,
    "nan-storm": nan_storm,
    "weight-change": weight_change,
}


def _scenario(name: str, words: str, ask: Ask, arrivals: list[Arrival]) -> Scenario:
    return Scenario(name, words, ask.horizon_s, ask.fleet, LANES, arrivals)
