"""The scorer's answer as scores that can be believed, and what they mean under the limits in force. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safety.prefilter.text_stages import Stages


class Implausible(ValueError):
    """An answer that leaves out a category, or has a score that is none."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the scorer said of one text: category → (nearest example, cosine), category → classifier's score."""

    similar: dict[str, tuple[int, float]]
    classified: dict[str, float]
    topic: str
    ms: dict[str, float]
    classifier: str
    encoder: str

    def stored(self) -> dict[str, dict[str, float]]:
        """The figures alone, as they are kept with a request: a preview of other limits needs no scorer."""
        return {
            "similar": {name: round(near, 6) for name, (_, near) in self.similar.items()},
            "classified": {name: round(score, 6) for name, score in self.classified.items()},
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """A category that a stage refuses."""

    stage: str
    category: str
    score: float
    limit: float
    version: str  # of the limit
    example: int | None = None


def read(answer: Mapping[str, Any], stages: Stages) -> Scores:
    """Raises Implausible where a category that has a limit or an example has no score: it isn't admitted then."""
    try:
        similar = {name: (int(found[0]), float(found[1])) for name, found in answer["similar"].items()}
        classified = {name: float(score) for name, score in answer["scores"].items()}
        ms = {name: float(value) for name, value in answer["ms"].items()}
        scores = Scores(
            similar, classified, str(answer["topic"]), ms, str(answer["classifier"]), str(answer["encoder"])
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Implausible(f"{type(error).__name__} in the answer") from error
    missing = {limit.category for limit in stages.limits} - classified.keys()
    if missing or stages.compared - similar.keys():
        raise Implausible("a category has no score")
    shares = [*classified.values(), *(score for _, score in similar.values())]
    if not all(math.isfinite(share) and -1.01 <= share <= 1.01 for share in shares):
        raise Implausible("a score is no share of 1")
    return scores


def restored(stored: Mapping[str, Mapping[str, float]], stages: Stages) -> Scores:
    """What `Scores.stored` kept, to be held against limits; a category without a figure has none of it."""
    similar = {name: (0, near) for name, near in stored.get("similar", {}).items()}
    none = {limit.category: 0.0 for limit in stages.limits}
    return Scores(similar, none | dict(stored.get("classified", {})), "", {}, "", "")


def shares(scores: Scores, stages: Stages) -> dict[str, float]:
    """How far a text is on the way to being refused, per category: 1 is refused by nearness or by the classifier."""
    found = {}
    for limit in stages.limits:
        _, near = scores.similar.get(limit.category, (None, 0.0))
        # Texts that have nothing to do with an example are about 0.3 from it: the last third is what counts.
        nearness = max(0.0, 1 - 3 * (limit.similarity - near) / limit.similarity)
        found[limit.category] = max(nearness, scores.classified[limit.category] / limit.classifier)
    return found


def first_hit(scores: Scores, stages: Stages) -> Hit | None:
    """Nearness to an example before the classifier; of several categories child safety, else the one furthest over."""
    for limit in stages.limits:
        example, near = scores.similar.get(limit.category, (None, -1.0))
        if near >= limit.similarity:
            return Hit("similarity", limit.category, near, limit.similarity, limit.version, example)
    hits = [
        Hit("classifier", limit.category, scores.classified[limit.category], limit.classifier, limit.version)
        for limit in stages.limits
        if scores.classified[limit.category] >= limit.classifier
    ]
    return max(hits, key=_precedence, default=None)


def _precedence(hit: Hit) -> tuple[bool, float]:
    return hit.category == "child_safety", hit.score / hit.limit


def guard_hit(found: Mapping[str, float], stages: Stages) -> Hit | None:
    """The same for the scores of a guard, which may know fewer categories."""
    for limit in stages.limits:
        score = found.get(limit.category, 0.0)
        if score >= limit.guard:
            return Hit("guard", limit.category, score, limit.guard, limit.version)
    return None
