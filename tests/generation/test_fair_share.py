"""The policy by itself: shares by weight, no saved-up credit, floors, and the bound that its docstring states."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.policy import claims, fair_share
from generation.policy.claims import LaneBook, Place, PoolBook, WaitingJob
from generation.policy.fair_share import LaneView


def lane(slug: str, **values) -> LaneView:
    values = {"tag": 0.0, "weight": 1.0, "floor": 0.0, "recent_gpu_ms": 0.0, "eligible": True} | values
    return LaneView(slug, **values)


def serve(lanes: dict[str, LaneView], virtual_time: float, cost) -> tuple[str, float]:
    """One claim of `cost` GPU-milliseconds, written back as dispatch does."""
    choice = fair_share.choose_lane(list(lanes.values()), virtual_time)
    chosen = lanes[choice.slug]
    lanes[choice.slug] = replace(
        chosen, tag=fair_share.charged(choice.start, cost(choice.slug), chosen.weight)
    )
    return choice.slug, choice.virtual_time


def test_nothing_waits_nothing_is_chosen():
    assert fair_share.choose_lane([lane("free", eligible=False)], 0.0) is None


def test_equal_jobs_are_served_by_weight():
    lanes = {"free": lane("free"), "plus": lane("plus", weight=2.0)}
    served, now = [], 0.0
    for _ in range(30):
        slug, now = serve(lanes, now, lambda _: 1000)
        served.append(slug)
    assert served.count("plus") == 20
    assert served.count("free") == 10


def test_a_lane_that_was_idle_saves_up_nothing():
    lanes = {"free": lane("free"), "plus": lane("plus", eligible=False)}
    now = 0.0
    for _ in range(100):
        _, now = serve(lanes, now, lambda _: 1000)
    lanes["plus"] = replace(lanes["plus"], eligible=True)
    served = []
    for _ in range(10):
        slug, now = serve(lanes, now, lambda _: 1000)
        served.append(slug)
    assert served.count("plus") in (5, 6)  # its fair half, not the hundred turns it did not ask for


def test_a_lane_under_its_floor_goes_first_whatever_the_weights():
    lanes = [
        lane("free", weight=100.0, recent_gpu_ms=99_000.0),
        lane("plus", tag=1e9, floor=0.1, recent_gpu_ms=1_000.0),
    ]
    choice = fair_share.choose_lane(lanes, 0.0)
    assert (choice.slug, choice.reason) == ("plus", "floor")


def test_a_floor_binds_only_while_the_lane_waits():
    lanes = [lane("free", recent_gpu_ms=99_000.0), lane("plus", floor=0.1, eligible=False)]
    assert fair_share.choose_lane(lanes, 0.0).slug == "free"


def test_correction_gives_back_what_did_not_run():
    tag = fair_share.charged(100.0, 3000, 2.0)
    assert tag == 1600.0
    assert fair_share.corrected(tag, 3000, 1000, 2.0) == 600.0


def test_recent_use_halves_every_half_life():
    assert fair_share.decayed(1000.0, 120.0) == pytest.approx(500.0)
    assert fair_share.decayed(1000.0, -5.0) == 1000.0


def test_fair_shares_leave_out_who_does_not_wait():
    shares = fair_share.fair_shares([lane("free"), lane("plus", weight=3.0), lane("pro", eligible=False)])
    assert shares == {"free": 0.25, "plus": 0.75, "pro": 0.0}


weights = st.floats(0.5, 16.0)
costs = st.lists(st.integers(1, 60_000), min_size=1, max_size=40)


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["free", "plus", "pro", "enterprise"]), st.tuples(weights, costs), min_size=2
    ),
    st.integers(1, 300),
)
def test_backlogged_lanes_never_drift_apart_further_than_the_bound(flows, claims):
    """|W_f/w_f − W_m/w_m| ≤ l_f/w_f + l_m/w_m over any interval in which both wait."""
    lanes = {slug: lane(slug, weight=weight) for slug, (weight, _) in flows.items()}
    served = dict.fromkeys(flows, 0)
    turns = dict.fromkeys(flows, 0)
    now = 0.0

    def cost(slug: str) -> int:
        sizes = flows[slug][1]
        return sizes[turns[slug] % len(sizes)]

    for _ in range(claims):
        slug, now = serve(lanes, now, cost)
        served[slug] += cost(slug)
        turns[slug] += 1
        for f, (weight_f, costs_f) in flows.items():
            for m, (weight_m, costs_m) in flows.items():
                drift = abs(served[f] / weight_f - served[m] / weight_m)
                assert drift <= max(costs_f) / weight_f + max(costs_m) / weight_m + 1e-6


# What a claim may meet: the next claim; an end of a running job that took so much of what it was charged (nothing of
# it, where it is handed back unrun); another weight; and a third lane that comes and goes.
STEPS = st.one_of(
    st.tuples(st.just("claim"), st.integers(1, 60_000)),
    st.tuples(st.just("end"), st.integers(0, 50)),
    st.tuples(st.just("weight"), st.tuples(st.sampled_from(["free", "plus"]), st.floats(0.5, 16.0))),
    st.tuples(st.just("visitor"), st.booleans()),
)


class Trace:
    """Two lanes that always have something to run and one that comes and goes, claimed from by the live procedure."""

    def __init__(self) -> None:
        books = {slug: LaneBook(lane(slug), 10**9) for slug in ("free", "plus", "pro")}
        self.pool = PoolBook(0.0, books)
        self.visits, self.size, self.numbers = False, 1, 0
        self.running: list[tuple[str, int, float, float]] = []  # lane, charged, weight, actual
        self.service = dict.fromkeys(books, 0.0)
        self.largest, self.over, self.unrun = (dict.fromkeys(books, 0.0) for _ in range(3))

    def claim(self, estimate: int, share: float | dict[str, float]) -> None:
        """One claim of a job that will take `share` of its estimate, which may depend on its lane."""
        self.numbers += 1
        for slug, book in self.pool.lanes.items():
            waits = slug != "pro" or self.visits
            jobs = [WaitingJob(self.numbers, 1, estimate)] if waits else []
            book.places = [Place(1, 1, 0.0, 0, 0, len(jobs), jobs)]
        taken = claims.take(self.pool)
        charge = taken.charged_gpu_ms / taken.weight
        self.service[taken.lane] += charge
        self.largest[taken.lane] = max(self.largest[taken.lane], charge)
        share = share[taken.lane] if isinstance(share, dict) else share
        self.running.append((taken.lane, taken.charged_gpu_ms, taken.weight, round(estimate * share)))
        self._note_errors()

    def end(self, number: int) -> None:
        if not self.running:
            return
        slug, charged, weight, actual = self.running.pop(number % len(self.running))
        claims.correct(self.pool.lanes[slug], self.pool.virtual_time, charged, actual, weight)
        self.service[slug] += (actual - charged) / weight

    def _note_errors(self) -> None:
        for slug in self.service:
            errors = [
                (actual - charged) / weight for at, charged, weight, actual in self.running if at == slug
            ]
            self.over[slug] = max(self.over[slug], sum(error for error in errors if error > 0))
            self.unrun[slug] = max(self.unrun[slug], -sum(error for error in errors if error < 0))

    def bound(self, f: str, m: str) -> float:
        return self.largest[f] + self.over[f] + self.unrun[m]

    def change_weight(self, slug: str, weight: float) -> None:
        book = self.pool.lanes[slug]
        book.view = replace(book.view, weight=weight)


@settings(max_examples=300)
@given(st.lists(st.tuples(STEPS, st.sampled_from([0.0, 0.5, 0.8, 1.0, 1.0, 1.3, 2.0])), max_size=150))
def test_the_bound_holds_while_weights_change_jobs_come_back_and_estimates_are_wrong(steps):
    trace = Trace()
    for (kind, value), share in steps:
        if kind == "claim":
            trace.claim(value, share)
        elif kind == "end":
            trace.end(value)
        elif kind == "weight":
            trace.change_weight(*value)
        else:
            trace.visits = value
        ahead = trace.service["free"] - trace.service["plus"]
        assert ahead <= trace.bound("free", "plus") + 1e-3
        assert -ahead <= trace.bound("plus", "free") + 1e-3


def test_what_is_handed_back_unrun_is_not_lost_to_the_lift():
    """Ten jobs of one lane, all handed back at once: it has paid for none of them, so it is served until it has."""
    trace = Trace()
    while len([one for one in trace.running if one[0] == "free"]) < 10:
        trace.claim(1000, 0.0 if len(trace.running) % 2 == 0 else 1.0)
    free = [number for number, one in enumerate(trace.running) if one[0] == "free"]
    for number in reversed(free):
        slug, charged, weight, _ = trace.running.pop(number)
        claims.correct(trace.pool.lanes[slug], trace.pool.virtual_time, charged, 0, weight)
    before = len(trace.running)
    for _ in range(10):
        trace.claim(1000, 1.0)
    assert [one[0] for one in trace.running[before:]].count("free") >= 9


def test_a_lane_whose_jobs_always_take_half_their_estimate_falls_behind_no_further_with_time():
    trace = Trace()
    for _ in range(2000):
        trace.claim(1000, {"free": 0.5, "plus": 1.0})
        if len(trace.running) > 8:
            trace.end(0)
    assert abs(trace.service["free"] - trace.service["plus"]) <= trace.bound("plus", "free") < 10_000
