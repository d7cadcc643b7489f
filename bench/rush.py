"""The rush, live: ten times the free requests, and a flood inside the Plus lane, on slots that only wait.

Both run through jobs, tickets, a real Celery worker and the production claim, and in the same run, with the same
requests at the same moments, through plain Celery with a Redis priority per tier. Then what a flooder gains by keys or
small clips, and what 200 new free organizations take from the paid lanes, with everything backlogged.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.admission import models_serve
from bench.harness import Figure, Run
from bench.rush_live import KEYS, WEIGHT_OF_PLUS, Ours, Priorities, Way, load, play, started, without_money
from bench.rush_traffic import (
    CLIP_S,
    FLOODER,
    SCALE,
    TARGET_S,
    Request,
    Turn,
    backlog,
    flooded_lane,
    of_flooder,
    of_lane,
    p95_wait,
    rush,
    scaled,
    slot_seconds,
)
from bench.rush_worker import POOL, QUEUE, working
from generation.simulator.report import simulate
from generation.simulator.scenario import Scenario

SHORT = os.environ.get("SHORT") == "1"
SLOTS = 32
SPAN_S, BACKLOG_SPAN_S = (60.0, 30.0) if SHORT else (100.0, 50.0)
WARM_UP_S = 12.0
WEIGHTS = {"free": 1, "plus": 2, "pro": 4, "enterprise": 8}
NEW_ORGANIZATIONS, OTHERS = 200, 4


@dataclass(frozen=True)
class Seen:
    """One scenario both ways, and simulated."""

    ours: Sequence[Turn]
    celery: Sequence[Turn]
    simulated: object

    def beside(self, name: str, unit: str, measure) -> Figure:
        values = measure(self.ours), measure(self.celery)
        return Figure(name, values[0], unit, "Celery priorities, the same requests", values[1])


def measure(run: Run) -> Iterable[Figure]:
    """`rush_*` of ten times the free requests, `flood_*` of one Plus organization, `split_*`, `crowd_*`."""
    models_serve()
    without_money()
    ours = Ours(SLOTS)
    with working("ours", POOL, SLOTS), working("priorities", QUEUE, SLOTS):
        for way in (ours, Priorities()):
            play(way, _warm_up(), WARM_UP_S)
        yield from _rush(ours)
        yield from _flood(ours)
        ours.raising = False  # lanes that wait by design would make it rise
        yield from _splits(ours)
        yield from _crowd(ours)


def _warm_up() -> list[Request]:
    """Every slot opens its connection and has its statements planned."""
    return [
        Request(0.01 * (number + 1), "plus", f"plus-{number % 16}", 0.02, 0.02)
        for number in range(10 * SLOTS)
    ]


def _both(ours: Ours, scenario: Scenario) -> Seen:
    requests = scaled(scenario.arrivals)
    asked = sum(request.run_s for request in requests) / (SLOTS * SPAN_S)
    print(f"bench: {scenario.name}, asked for {asked:.2f} of what there is, load {load()}", file=sys.stderr)
    return Seen(play(ours, requests, SPAN_S), play(Priorities(), requests, SPAN_S), simulate(scenario))


def _rush(ours: Ours) -> Iterable[Figure]:
    seen = _both(ours, rush(SLOTS, SPAN_S))
    yield from _plus("rush_plus", seen)
    for lane in ("enterprise", "pro", "free"):
        yield seen.beside(f"rush_{lane}_wait_p95_s", "s", partial(_p95, lane))
    yield seen.beside("rush_busy_share", "of the slots", _busy)
    yield seen.beside("rush_clips_per_second", "clips/s", lambda turns: started(turns, SPAN_S) / SPAN_S)
    yield Figure("rush_highest_weight_of_plus", ours.highest, "weight", "its baseline", WEIGHT_OF_PLUS)


def _flood(ours: Ours) -> Iterable[Figure]:
    ours.capped = False
    seen = _both(ours, flooded_lane(SLOTS, SPAN_S))
    yield from _plus("flood_other_plus", seen)
    yield seen.beside("flood_flooder_wait_p95_s", "s", lambda turns: p95_wait(of_flooder(turns), SPAN_S))
    yield seen.beside("flood_free_wait_p95_s", "s", partial(_p95, "free"))
    for name, turns in (("", seen.ours), ("_celery", seen.celery)):
        free = of_lane(turns, "free")
        yield Figure(
            f"flood_free_clips_started{name}", started(free, SPAN_S), "clips", "clips asked for", len(free)
        )
    yield seen.beside("flood_busy_share", "of the slots", _busy)
    yield Figure("flood_highest_weight_of_plus", ours.highest, "weight", "its baseline", WEIGHT_OF_PLUS)


def _plus(name: str, seen: Seen) -> Iterable[Figure]:
    """The wait of Plus (without a flooder) beside Celery, beside the target, beside the simulator."""
    ours = _p95("plus", seen.ours)
    yield seen.beside(f"{name}_wait_p95_s", "s", partial(_p95, "plus"))
    target = f"target: 30 s of a {CLIP_S / SCALE:.0f} s clip"
    yield Figure(f"{name}_wait_p95_to_target_s", ours, "s", target, TARGET_S)
    simulated = seen.simulated.lane("plus").wait_p95_s * SCALE
    yield Figure(f"{name}_wait_p95_to_simulated_s", ours, "s", "the simulator, the same requests", simulated)


def _p95(lane: str, turns: Sequence[Turn]) -> float:
    return p95_wait(of_lane(turns, lane), SPAN_S)


def _busy(turns: Sequence[Turn]) -> float:
    return slot_seconds(turns, SPAN_S) / (SLOTS * SPAN_S)


def _splits(ours: Way) -> Iterable[Figure]:
    """A flooder beside others of its lane that always wait too: whole, by 200 keys, in clips of a quarter."""
    plenty = round(BACKLOG_SPAN_S * SLOTS / CLIP_S)
    beside = [
        request
        for lane, count in (("plus", OTHERS), ("free", OTHERS))
        for number in range(count)
        for request in backlog(lane, f"{lane}-{number}", plenty // 3)
    ]
    whole = _share(ours, [*beside, *backlog("plus", FLOODER, plenty // 3)])
    yield Figure("split_whole", whole, "of the slots", "a fifth of two thirds", 2 / 15)
    for name, flood in (
        ("200_keys", backlog("plus", FLOODER, plenty // 3, keys=KEYS)),
        ("small_clips", backlog("plus", FLOODER, 2 * plenty, run_s=CLIP_S / 4)),
    ):
        share = _share(ours, [*beside, *flood])
        yield Figure(f"split_{name}", share, "of the slots", "not split", whole)


def _share(ours: Way, requests: Sequence[Request]) -> float:
    """The flooder's part of all slot time."""
    turns = play(ours, requests, BACKLOG_SPAN_S)
    return slot_seconds(of_flooder(turns), BACKLOG_SPAN_S) / slot_seconds(turns, BACKLOG_SPAN_S)


def _crowd(ours: Way) -> Iterable[Figure]:
    """Everything waits: the parts of the lanes without and with 200 new free organizations."""
    plenty = round(BACKLOG_SPAN_S * SLOTS / CLIP_S)
    everybody = [
        request
        for lane in WEIGHTS
        for number in range(OTHERS)
        for request in backlog(lane, f"{lane}-{number}", plenty // OTHERS)
    ]
    new = [request for number in range(NEW_ORGANIZATIONS) for request in backlog("free", f"new-{number}", 3)]
    without, with_them = (_parts(ours, requests) for requests in (everybody, [*everybody, *new]))
    for lane in WEIGHTS:
        yield Figure(
            f"crowd_{lane}_share", with_them[lane], "of the slots", "without the crowd", without[lane]
        )


def _parts(ours: Way, requests: Sequence[Request]) -> dict[str, float]:
    turns = play(ours, requests, BACKLOG_SPAN_S)
    whole = slot_seconds(turns, BACKLOG_SPAN_S)
    return {lane: slot_seconds(of_lane(turns, lane), BACKLOG_SPAN_S) / whole for lane in WEIGHTS}
