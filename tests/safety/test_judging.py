"""From scores to a verdict: the pure part of the frame gates."""

from hypothesis import given
from hypothesis import strategies as st

from safety.postfilter import judging

OUTCOMES = st.sampled_from(["pass", "review", "block", "unusable", "unavailable"])


def judged(score, usable=True, available=True) -> str:
    return judging.outcome(score, usable=usable, available=available, block_score=0.8, review_score=0.6)


def test_scores_at_the_thresholds():
    assert [judged(score) for score in (0.0, 0.599, 0.6, 0.799, 0.8, 1.0)] == [
        "pass",
        "pass",
        "review",
        "review",
        "block",
        "block",
    ]


def test_doubt_is_never_clean():
    assert judged(0.1, usable=False) == "unusable"
    assert judged(0.9, usable=False) == "block"  # a hit on a poor frame is a hit
    assert judged(0.0, available=False) == "unavailable"
    assert [judged(score) for score in (float("nan"), float("inf"), -0.01, 1.01)] == ["unavailable"] * 4


@given(st.integers(1, 3000), st.integers(1, 20))
def test_sampling_takes_the_first_the_last_and_leaves_no_wide_gap(total, every):
    frames = judging.sampled_frames(total, every)
    assert frames[0] == 0
    assert frames[-1] == total - 1
    assert frames == sorted(set(frames))
    assert all(0 < later - earlier <= every for earlier, later in zip(frames, frames[1:], strict=False))


def test_no_frames_no_sample():
    assert judging.sampled_frames(0, 5) == []


@given(st.lists(OUTCOMES))
def test_one_bad_outcome_is_enough(outcomes):
    verdict = judging.fold(outcomes)
    assert (verdict == "block") == ("block" in outcomes)
    assert (verdict == "pass") == (not {"block", "review", "unavailable"} & set(outcomes))
    if "unavailable" in outcomes:
        assert verdict in ("block", "unavailable")


def test_a_frame_that_every_gate_calls_unusable_is_unjudged():
    seen = {0: ["unusable", "pass"], 1: ["unusable"], 2: ["review"], 3: ["unavailable"]}
    assert judging.unjudged(seen, range(5)) == [1, 3, 4]
