"""The cascade of text checks before admission: cheap stages first, stop at the first block.

Normalising and rules run here; nearness to examples and the classifier in the scorer, while the request is weighed; a
guard, where one is set, comes last. What can't be checked isn't admitted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from safety.policy import suspensions as policy_suspensions
from safety.prefilter import guard, scores, words
from safety.prefilter.readings import for_scoring, readings
from safety.prefilter.rules import CompiledRule, LiveText, live_text
from safety.prefilter.scores import Hit, Scores
from safety.scorer import asking

LONGEST = 64_000  # characters; a longer prompt is refused for its length before anybody asks what it says


@dataclass(frozen=True, slots=True)
class Screening:
    """What the cascade said about one text. `category`, `stage` and what refused are set where it was refused.

    `ms` is the safety tax of this text per stage, `topic` what the text is about, as far as a stage said so.
    """

    allowed: bool
    category: str | None = None
    stage: str | None = None
    rule_id: int | None = None
    rule_version: int | None = None
    example_id: int | None = None
    score: float | None = None
    topic: str | None = None
    suspended: str | None = None  # the suspended category, in words
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # of the later stages, per category
    versions: dict[str, str | int] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)

    @property
    def elapsed_ms(self) -> float:
        return sum(self.ms.values())

    @property
    def policy_version(self) -> int:
        """Of the policy `text` that it was screened under."""
        return int(self.versions["text"])

    @property
    def about(self) -> list[str]:
        """What the text is about, for what is decided by that."""
        return [name for name in (self.topic, self.category) if name]

    def record(self) -> dict:
        """As JSON for the row of the job or the refusal: no text, every version."""
        stored = {
            "category": self.topic,
            "elapsed_ms": round(self.elapsed_ms, 3),
            "ms": {name: round(value, 3) for name, value in self.ms.items()},
            "policy_version": self.versions.get("text"),
            "versions": self.versions,
            "scores": self.scores,
        }
        refusal = {
            "refused": self.category,
            "stage": self.stage,
            "rule": self.rule_id,
            "rule_version": self.rule_version,
            "example": self.example_id,
            "score": None if self.score is None else round(self.score, 4),
        }
        return stored | {name: value for name, value in refusal.items() if value is not None}


class Underway:
    """A text that the rules let pass, on its way through the scorer. `finish` waits for its answer, to the deadline."""

    def __init__(self, text: str, kind: str) -> None:
        self.text, self.kind = text, kind
        began = time.perf_counter()
        self._live = live_text(kind)
        loaded = time.perf_counter()
        self._readings = readings(text, words.costs())
        normalised = time.perf_counter()
        # A rule may speak of what normalising takes away, so the text as written is read as well.
        self._rule = self._live.rules.first_hit(tuple(dict.fromkeys((*self._readings, text))))
        self._ms = {
            "normalise": (normalised - loaded) * 1000,
            "rules": (loaded - began + time.perf_counter() - normalised) * 1000,
        }
        self._asked = for_scoring(text, kind, self._readings)
        self._question = None if self._rule else asking.begin(self._asked, kind, self._live.stages)

    def finish(self) -> Screening:
        """Raises ApiError server_is_overloaded where the text couldn't be checked: it is never admitted then."""
        if self._rule:
            return _refused_by_rule(self._rule, self._live, self._ms)
        began = time.perf_counter()
        found = asking.answer(self._question, self._asked, self.kind, self._live.stages)
        waited = (time.perf_counter() - began) * 1000
        ms = self._ms | found.ms
        # What the scorer doesn't account for is the way there and back, and the wait behind other texts.
        ms["scorer"] = max(0.0, waited - sum(found.ms.values()))
        hit = scores.first_hit(found, self._live.stages)
        if hit is None and guard.is_set():
            began = time.perf_counter()
            hit = scores.guard_hit(guard.scores(self.text), self._live.stages)
            ms["guard"] = (time.perf_counter() - began) * 1000
        return _screening(hit, found, self._live, ms)

    def abandon(self) -> None:
        """The request was refused for another reason: nobody waits for the scorer."""
        if self._question is not None:
            self._question.abandon()


@contextmanager
def begun(value: object, kind: str) -> Iterator[Underway | None]:
    """Start on a prompt as the request gives it, before the request is weighed; None where it is no usable text.

    Where the request is refused for another reason, nobody waits for the scorer.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    usable = isinstance(value, str) and value.strip() and len(value) <= LONGEST
    underway = Underway(value, kind) if usable else None
    try:
        yield underway
    finally:
        if underway is not None:
            underway.abandon()


def screen_prompt(text: str, kind: str, underway: Underway | None = None) -> Screening:
    """Check a prompt of a `clip` or `code` request against what is in force at this moment.

    `underway` is what `begun` made of the same prompt. Raises ApiError server_is_overloaded where it can't be checked:
    an unchecked prompt is never admitted.
    """
    if underway is not None and (underway.text, underway.kind) != (text, kind):
        underway.abandon()
        underway = None
    return (underway or Underway(text, kind)).finish()


def scored(text: str, kind: str) -> tuple[str, dict[str, dict[str, float]]]:
    """What a text is about and its scores, as `Screening.scores` has them, whatever the rules say of it.

    Raises ApiError server_is_overloaded where the scorer doesn't answer.
    """
    live, forms = live_text(kind), for_scoring(text, kind, readings(text, words.costs()))
    found = asking.answer(asking.begin(forms, kind, live.stages), forms, kind, live.stages)
    return found.topic, found.stored()


def _taken(found: Scores, live: LiveText, versions: dict[str, str | int], ms: dict[str, float]) -> Screening:
    """Admitted, unless what the text is about is suspended."""
    about = [found.topic, *policy_suspensions.near(live.suspended, scores.shares(found, live.stages))]
    stopped = policy_suspensions.hit([name for name in about if name], live.suspended)
    if stopped is None:
        return Screening(True, topic=found.topic, versions=versions, ms=ms, scores=found.stored())
    versions["suspension"] = f"{stopped.slug} {stopped.version}"
    return Screening(
        False,
        stopped.slug,
        "suspension",
        topic=found.topic,
        suspended=stopped.label,
        versions=versions,
        ms=ms,
    )


def _refused_by_rule(rule: CompiledRule, live: LiveText, ms: dict[str, float]) -> Screening:
    versions = {"text": live.version, "rule": rule.version}
    return Screening(False, rule.category, "rules", rule.id, rule.version, versions=versions, ms=ms)


def _screening(hit: Hit | None, found: Scores, live: LiveText, ms: dict[str, float]) -> Screening:
    versions = {"text": live.version, "encoder": found.encoder, "classifier": found.classifier}
    if hit is None:
        return _taken(found, live, versions, ms)
    versions["threshold"] = hit.version
    if hit.example is not None:
        versions["example"] = live.stages.versions.get(hit.example, 0)
    if hit.stage == "guard":
        versions["guard"] = guard.name()
    return Screening(
        False,
        hit.category,
        hit.stage,
        example_id=hit.example,
        score=hit.score,
        topic=found.topic,
        versions=versions,
        ms=ms,
        scores=found.stored(),
    )
