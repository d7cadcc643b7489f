"""What arrives in the live rush: the simulator's own workloads, a published clip of 124 s in one second.

A clip of 50 steps takes 124 s of device on the published fleet and `CLIP_S` here. Every time of the workload shrinks
by that factor, and so does the bound: 30 s of wait become 2.4 s. Two things do not shrink and work against what is
measured: a claim and a commit take as long as ever, and of 32 slots the next one frees after CLIP_S / 32, of a fleet's
4,000 after CLIP_S / 4,000.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from uuid import UUID, uuid4

from generation.policy import auto_raise
from generation.simulator.quantiles import quantile
from generation.simulator.scenario import Arrival, Raising, Scenario
from generation.simulator.workloads import LANES, TRAFFIC, Ask, flood, free_rush, without_admission

PUBLISHED_CLIP_S = 124.0
CLIP_S = 10.0
SCALE = CLIP_S / PUBLISHED_CLIP_S
TARGET_S = 30.0 * SCALE  # of the wait of Plus
RULE = auto_raise.Rule(True, 30.0, 1.0, 6.0, 30.0, 300.0, 1800.0)
FLOODER = "flooder"
FIRST = 0.0  # a backlog is there before the first claim


@dataclass(frozen=True)
class Request:
    """One clip: when it comes (seconds from the beginning), from whom, by which key, and what it really takes."""

    at_s: float
    lane: str
    organization: str
    run_s: float
    estimate_s: float
    key: int = 0
    id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True)
class Turn:
    """A request, when it was really sent, and what became of it; seconds from the beginning, None for what had not
    happened at the end."""

    request: Request
    came_s: float
    started_s: float | None
    ended_s: float | None

    def waited(self, end_s: float) -> float:
        """Its wait, or its age where it still waits at the end."""
        until = end_s if self.started_s is None else min(self.started_s, end_s)
        return max(0.0, until - self.came_s)

    def ran(self, end_s: float) -> float:
        """How long it had a slot until the end."""
        if self.started_s is None or self.started_s > end_s:
            return 0.0
        return min(end_s, self.started_s + self.request.run_s) - self.started_s


def rush(slots: int, span_s: float) -> Scenario:
    """The usual requests, and after a twelfth of the span ten times the free ones. Nothing is refused."""
    return _bare(free_rush(_ask(slots, span_s)))


def flooded_lane(slots: int, span_s: float) -> Scenario:
    """The usual requests, and one Plus organization that asks for nine times what all of Plus asks for usually, through
    200 keys. Burst caps are lifted, so that nothing but the order stands against it."""
    usual = next(traffic.share for traffic in TRAFFIC if traffic.lane == "plus") * 0.007
    made = _bare(flood(_ask(slots, span_s), per_gpu_s=9 * usual))
    return replace(made, lanes=[replace(lane, max_running=10_000) for lane in made.lanes])


def _ask(slots: int, span_s: float) -> Ask:
    return Ask(slots, span_s / SCALE, Random(1))


def _bare(made: Scenario) -> Scenario:
    return replace(made, lanes=without_admission(LANES), raising=Raising({"plus": RULE}))


def scaled(arrivals: Iterable[Arrival]) -> list[Request]:
    """The workload's requests in this benchmark's time."""
    return [
        Request(
            one.at_s * SCALE,
            one.lane,
            _name(one),
            one.run_ms / 1000 * SCALE,
            one.estimate_ms / 1000 * SCALE,
            one.key,
        )
        for one in arrivals
    ]


def _name(arrival: Arrival) -> str:
    return FLOODER if arrival.organization == FLOODER else f"{arrival.lane}-{arrival.organization}"


def backlog(lane: str, organization: str, count: int, run_s: float = CLIP_S, keys: int = 1) -> list[Request]:
    """Clips that wait from the beginning."""
    return [Request(FIRST, lane, organization, run_s, run_s, number % keys) for number in range(count)]


def p95_wait(turns: Sequence[Turn], end_s: float) -> float:
    return quantile([turn.waited(end_s) for turn in turns], 0.95)


def of_lane(turns: Iterable[Turn], lane: str) -> list[Turn]:
    """A lane's turns without a flooder's."""
    return [turn for turn in turns if turn.request.lane == lane and turn.request.organization != FLOODER]


def of_flooder(turns: Iterable[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.request.organization == FLOODER]


def slot_seconds(turns: Iterable[Turn], end_s: float) -> float:
    """How long they had slots."""
    return sum(turn.ran(end_s) for turn in turns)
