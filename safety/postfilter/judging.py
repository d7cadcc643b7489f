"""From scores to outcomes to one verdict. Pure: plain values in, plain values out, standard library only.

A scan and a preview of a change rule by the same function, so a preview says what then happens.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

PASS, REVIEW, BLOCK, UNUSABLE, UNAVAILABLE = "pass", "review", "block", "unusable", "unavailable"
FACE_CLASS = "likeness"  # the class whose gates speak of faces
WEIGHT = {PASS: 0, UNUSABLE: 0, REVIEW: 1, BLOCK: 2, UNAVAILABLE: 3}


class Seen(Protocol):
    """What a gate saw in one frame: `protocol.Finding`, or a stored verdict read back."""

    score: float
    evidence: Mapping[str, Any]
    usable: bool
    available: bool


class Scores(Protocol):
    """The threshold that counts for a finding: `thresholds.EffectiveThreshold`."""

    block_score: float
    review_score: float
    version: str


class Stance(Protocol):
    """What holds for every scan: `policy_scans.Stance`."""

    faces: str
    version: str

    def level(self, frame_class: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a finding means under policy: the outcome, the versions it rests on, and the evidence to keep with it."""

    outcome: str
    version: str
    evidence: dict


def ruling(
    seen: Seen,
    threshold: Any,
    stance: Stance,
    frame_class: str,
    *,
    sees_faces: bool = False,
    another_sees_faces: bool = False,
) -> Ruling:
    """The outcome of one finding under the policies in force.

    `threshold` answers `for_evidence` with the `Scores` that count; `sees_faces` says of the gate that it counts the
    faces in a frame (evidence `faces`), `another_sees_faces` that some gate of this scan does.
    """
    scores: Scores = threshold.for_evidence(seen.evidence)
    plain = outcome(
        seen.score,
        usable=seen.usable,
        available=seen.available,
        block_score=scores.block_score,
        review_score=scores.review_score,
    )
    evidence = dict(seen.evidence)
    if not seen.usable and plain in (REVIEW, BLOCK):
        evidence["usable"] = False  # so that the outcome under other scores can be told later
    raised, why = _raised(
        plain, seen, stance, frame_class, sees_faces=sees_faces, another_sees_faces=another_sees_faces
    )
    if raised == plain:
        return Ruling(plain, scores.version, evidence)
    evidence |= {"raised_by": why, "raised_from": plain}
    return Ruling(raised, f"{scores.version}; scans {stance.version}", evidence)


def _raised(
    plain: str,
    seen: Seen,
    stance: Stance,
    frame_class: str,
    *,
    sees_faces: bool,
    another_sees_faces: bool,
) -> tuple[str, str]:
    """The outcome with review levels and faces applied, and which of them raised it. Nothing is ever lowered."""
    level = stance.level(frame_class)
    raised, why = plain, ""
    if plain == PASS and (level == "everything" or (level == "any_sign" and seen.score > 0)):
        raised, why = REVIEW, "review level"
    if frame_class == FACE_CLASS and stance.faces in (REVIEW, BLOCK) and plain != UNAVAILABLE:
        face = face_seen(seen, sees_faces=sees_faces, another_sees_faces=another_sees_faces)
        if face is not False and WEIGHT[stance.faces] > WEIGHT[raised]:
            return stance.faces, "faces" if face else "faces: nobody can tell"
    return raised, why


def face_seen(seen: Seen, *, sees_faces: bool, another_sees_faces: bool) -> bool | None:
    """Is there a face in the frame? None where this finding can't tell and no other gate will: never a "no".

    Any sign of likeness is a sign of a face. A gate that sees faces says how many in the evidence `faces`.
    """
    if seen.score > 0:
        return True
    if sees_faces:
        count = seen.evidence.get("faces")
        if not seen.usable or type(count) is not int:
            return None
        return count != 0
    return False if another_sees_faces else None


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
