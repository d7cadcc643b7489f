"""What a change of policy would do, before it is made: stored scores and texts, ruled as now and as proposed.

Frames are ruled by the function that scans use, texts by the rules that requests meet, so a preview equals what then
happens. What was never looked at stays unknown: a scan ends at its first block, and a preview says so.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from safety.models import Category, FrameClass, Rule
from safety.policy import rules as policy_rules
from safety.policy import scans as policy_scans
from safety.policy import suspensions as policy_suspensions
from safety.policy import thresholds
from safety.policy.proposed import Proposed
from safety.policy.suspensions import CategoryState
from safety.postfilter import judging
from safety.prefilter import scores, text_stages, words
from safety.prefilter.readings import readings
from safety.prefilter.rules import RuleSet, rule_set
from safety.prefilter.text_stages import Stages

ADMITTED, REFUSED = "admitted", "refused"
UNSEEN = "not stopped by what was seen"  # a scan that ended early would have gone on
SHOWN = 6  # examples per group


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """What one gate said of one frame; `index` is None where it spoke of itself. Answers as `judging.Seen` does."""

    frame_class: str
    index: int | None
    gate: str
    score: float
    usable: bool
    available: bool
    evidence: Mapping
    sees_faces: bool = False


@dataclass(frozen=True)
class FramesSubject:
    """A scan or a golden picture: all that was seen of it. `complete` False: the scan ended early."""

    name: str
    frames: Sequence[SeenFrame]
    complete: bool = True
    expected: str = ""
    at: datetime | None = None
    scan_id: int | None = None


@dataclass(frozen=True)
class TextSubject:
    """A request's text, or a golden prompt. `categories` are what the text is about, as it was screened.

    `scores` are what the later stages said of it, as `prefilter.scores.Scores.stored` keeps them; `refused_later` is
    the category for which one refused it that no score tells of.
    """

    name: str
    text: str
    kind: str
    categories: Sequence[str] = ()
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    refused_later: str = ""
    expected: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Policies:
    """Everything that decides, at one moment, as it is or with a change."""

    thresholds: Mapping[str, thresholds.EffectiveThreshold]
    stance: policy_scans.Stance
    rules: Mapping[str, RuleSet]
    stages: Mapping[str, Stages]
    suspended: Mapping[str, Mapping[str, CategoryState]]

    def frame(self, frame_class: str) -> tuple:
        """All that decides about a class of frames; equal tuples decide alike."""
        faces = self.stance.faces if frame_class == judging.FACE_CLASS else ""
        return self.thresholds.get(frame_class), self.stance.level(frame_class), faces


@dataclass(frozen=True)
class Flip:
    """One subject that would end otherwise. `where` names the class, gate and frame, or the rule's category."""

    subject: FramesSubject | TextSubject
    before: str
    after: str
    where: str
    score: float | None = None
    frame_index: int | None = None
    frame_class: str = ""
    evidence: str = ""

    @property
    def against(self) -> bool:
        """Does the golden case then end as it must not?"""
        passes = self.after in (judging.PASS, ADMITTED, UNSEEN)
        return self.subject.expected == ("must_block" if passes else "must_pass")


@dataclass(frozen=True)
class Group:
    """The flips among one kind of subject: how many were looked at, how many flip which way, some of them."""

    title: str
    looked: int
    flips: Sequence[Flip] = ()
    by_class: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    note: str = ""

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        found = Counter((flip.before, flip.after) for flip in self.flips)
        return [(*ways, number) for ways, number in sorted(found.items())]

    @property
    def classes(self) -> list[tuple[str, str, str, int]]:
        return [(*ways, number) for ways, number in sorted(self.by_class.items())]

    @property
    def against(self) -> int:
        return sum(flip.against for flip in self.flips)

    @property
    def examples(self) -> list[Flip]:
        """Some of each direction, those against a golden case first."""
        ordered = sorted(self.flips, key=lambda flip: not flip.against)
        ways: dict[tuple[str, str], list[Flip]] = defaultdict(list)
        for flip in ordered:
            ways[flip.before, flip.after].append(flip)
        each = max(1, SHOWN // max(1, len(ways)))
        return [flip for found in ways.values() for flip in found[:each]]


def policies(now: datetime, proposed: Proposed | None = None, new_rule: Rule | None = None) -> Policies:
    """What is in force at `now`, with a change where one is given."""
    rules, _ = policy_rules.live(now, proposed)
    if new_rule is not None:
        rules = [*rules, new_rule]
    return Policies(
        thresholds.effective(now, proposed),
        policy_scans.in_force(now, proposed),
        {kind: rule_set(rules, kind) for kind in ("clip", "code")},
        text_stages.live(now, proposed)[0],
        {kind: policy_suspensions.suspended(kind, now, proposed) for kind in ("clip", "code")},
    )


def frames_group(
    title: str, subjects: Iterable[FramesSubject], now: Policies, then: Policies, note: str = ""
) -> Group:
    """Which subjects would be judged otherwise, overall and per class."""
    changed = {name for name in FrameClass.values if now.frame(name) != then.frame(name)}
    by_class: Counter[tuple[str, str, str]] = Counter()
    flips, looked = [], 0
    for subject in subjects:
        looked += 1
        if not changed:
            continue
        before, after = ruled(subject.frames, now), ruled(subject.frames, then)
        for name in sorted(changed):
            one, other = before.of_class(name), after.of_class(name)
            if one != other:
                by_class[FrameClass(name).label, one, other] += 1
        if before.verdict != after.verdict:
            flips.append(_frames_flip(subject, before, after))
    return Group(title, looked, flips, dict(by_class), note)


@dataclass(frozen=True)
class Ruled:
    """The outcomes of what was seen, beside it, and the verdict over all."""

    frames: Sequence[SeenFrame]
    outcomes: Sequence[str]
    unjudged: frozenset[str]  # classes with a frame that no gate could judge

    @property
    def verdict(self) -> str:
        extra = [judging.UNAVAILABLE] if self.unjudged else []
        return judging.fold([*self.outcomes, *extra])

    def of_class(self, frame_class: str) -> str:
        pairs = zip(self.frames, self.outcomes, strict=True)
        found = [outcome for frame, outcome in pairs if frame.frame_class == frame_class]
        return judging.fold([*found, *([judging.UNAVAILABLE] if frame_class in self.unjudged else [])])


def ruled(frames: Sequence[SeenFrame], under: Policies) -> Ruled:
    """Every finding under these policies, as a scan would rule it."""
    faces = any(frame.sees_faces for frame in frames if frame.frame_class == judging.FACE_CLASS)
    outcomes = [_outcome(frame, under, another_sees_faces=faces) for frame in frames]
    looked: dict[tuple[str, int], list[str]] = defaultdict(list)
    for frame, outcome in zip(frames, outcomes, strict=True):
        if frame.index is not None:
            looked[frame.frame_class, frame.index].append(outcome)
    missed = judging.unjudged(looked, list(looked))
    return Ruled(frames, outcomes, frozenset(name for name, _ in missed))


def _outcome(frame: SeenFrame, under: Policies, *, another_sees_faces: bool) -> str:
    if frame.index is None or frame.frame_class not in under.thresholds:
        return judging.UNAVAILABLE
    return judging.ruling(
        frame,
        under.thresholds[frame.frame_class],
        under.stance,
        frame.frame_class,
        sees_faces=frame.sees_faces,
        another_sees_faces=another_sees_faces,
    ).outcome


def _frames_flip(subject: FramesSubject, before: Ruled, after: Ruled) -> Flip:
    """The flip with the finding that made it: of those that changed, the one with the highest score."""
    changed = [
        frame
        for frame, one, other in zip(subject.frames, before.outcomes, after.outcomes, strict=True)
        if one != other
    ]
    most = max(changed, key=lambda frame: frame.score, default=None)
    verdict = after.verdict
    if not subject.complete and verdict in (judging.PASS, judging.REVIEW):
        verdict = UNSEEN
    if most is None:
        return Flip(subject, before.verdict, verdict, "")
    where = f"{FrameClass(most.frame_class).label}, {most.gate}"
    told = ", ".join(f"{key} {value}" for key, value in most.evidence.items() if key not in ("pdq",))[:200]
    return Flip(subject, before.verdict, verdict, where, most.score, most.index, most.frame_class, told)


def texts_group(
    title: str,
    subjects: Iterable[TextSubject],
    now: Policies,
    then: Policies,
    note: str = "",
    ask: Callable[[TextSubject], TextSubject | None] | None = None,
) -> Group:
    """Which texts would be admitted or refused otherwise.

    A text that a rule refused was never shown to the later stages. `ask` shows it to them where the rule would let
    it go, and answers with their scores; None where they don't answer: it is left out then, and the note says so.
    """
    by_class: Counter[tuple[str, str, str]] = Counter()
    flips, looked, unknown = [], 0, 0
    for subject in subjects:
        looked += 1
        forms = _forms(subject.text)
        one, other = refused_as(subject, forms, now), refused_as(subject, forms, then)
        if one and not other and ask and not subject.scores:
            known = ask(subject)
            unknown += known is None
            other = refused_as(known, forms, then) if known else one
        if bool(one) == bool(other):
            continue
        before, after = (REFUSED, ADMITTED) if one else (ADMITTED, REFUSED)
        by_class[one or other, before, after] += 1
        flips.append(Flip(subject, before, after, one or other))
    if unknown:
        note = (
            f"{note} {unknown} more pass the rules then, but the stages behind them were not asked.".strip()
        )
    return Group(title, looked, flips, dict(by_class), note)


def refused_as(subject: TextSubject, forms: tuple[str, ...], under: Policies) -> str:
    """The category, in words, that a text is refused for under these policies; "" where it is admitted."""
    rule = under.rules[subject.kind].first_hit(forms)
    if rule is not None:
        return Category(rule.category).label
    stages, suspended = under.stages[subject.kind], under.suspended[subject.kind]
    about = list(subject.categories)
    if subject.scores:
        found = scores.restored(subject.scores, stages)
        if hit := scores.first_hit(found, stages):
            return Category(hit.category).label
        about += policy_suspensions.near(suspended, scores.shares(found, stages))
    if subject.refused_later:
        return Category(subject.refused_later).label
    # What nobody asked the later stages about is of unknown category here; a request would be told its category.
    stopped = policy_suspensions.hit(about, suspended) if about else None
    return f"suspended: {stopped.label}" if stopped else ""


def _forms(text: str) -> tuple[str, ...]:
    """What the rules read of a text, as in the cascade."""
    return tuple(dict.fromkeys((*readings(text, words.costs()), text)))
