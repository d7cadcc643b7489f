"""The policy by itself: shares by weight, no saved-up credit, floors, and the bound that its docstring states."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.policy import fair_share
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


@settings(max_examples=200, deadline=None)
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
