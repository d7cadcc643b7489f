"""From scores to outcomes to one verdict. Pure: plain values in, plain values out, standard library only."""

import math
from collections.abc import Iterable, Mapping

PASS, REVIEW, BLOCK, UNUSABLE, UNAVAILABLE = "pass", "review", "block", "unusable", "unavailable"


def sampled_frames(total: int, every: int) -> list[int]:
    """The indexes that the sampled classes look at: every `every`-th frame from the first on, and the last."""
    if total <= 0:
        return []
    return sorted({*range(0, total, every), total - 1})


def outcome(score: float, *, usable: bool, available: bool, block_score: float, review_score: float) -> str:
    """What a score means under thresholds. A score that is no share of 1 is a gate out of order: unavailable.

    A positive counts even where the gate calls the frame unusable: doubt never turns a hit into nothing.
    """
    if not available or not math.isfinite(score) or not 0 <= score <= 1:
        return UNAVAILABLE
    if score >= block_score:
        return BLOCK
    if score >= review_score:
        return REVIEW
    return PASS if usable else UNUSABLE


def fold(outcomes: Iterable[str]) -> str:
    """The one verdict over all: a block is a block whatever else failed; then unavailable, review, pass."""
    seen = set(outcomes)
    return next((verdict for verdict in (BLOCK, UNAVAILABLE, REVIEW) if verdict in seen), PASS)


def unjudged(outcomes_by_frame: Mapping[int, Iterable[str]], wanted: Iterable[int]) -> list[int]:
    """The frames among `wanted` that no gate judged: not looked at, or unusable for every gate that looked."""
    judged = {PASS, REVIEW, BLOCK}
    return [index for index in wanted if judged.isdisjoint(outcomes_by_frame.get(index, ()))]
