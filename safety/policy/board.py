"""What the page of policies shows: everything in force with who made it so, and the newest changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from accounts.models import AuditEntry, Override
from accounts.overrides import in_force
from safety.models import (
    Category,
    FrameClass,
    LikenessThresholdOverride,
    PolicyVersion,
    PromptCategoryOverride,
    RuleOverride,
    ScanPolicyOverride,
    ThresholdOverride,
)
from safety.policy import rules as policy_rules
from safety.policy import scans as policy_scans
from safety.policy import suspensions as policy_suspensions
from safety.policy import thresholds
from safety.policy.actions import CHANGES, SCAN_LABELS, ChangePolicy
from safety.policy.records import Faces, LikenessKind, ReviewLevel
from safety.policy.rule_actions import AddRule
from safety.postfilter.gates import acceptance, classes_without_judge, gates
from safety.prefilter import text_stages
from safety.prefilter.text_records import TextThresholdOverride
from safety.prefilter.text_stages import Limit

CHANGES_SHOWN = 20
RULES_SHOWN = 50
NAMES: dict[str, type] = {action.name: action for action in (*CHANGES.values(), AddRule)}
TABLES: dict[str, tuple[type[Override], ...]] = {
    "safety.threshold": (ThresholdOverride, LikenessThresholdOverride),
    "safety.scans": (ScanPolicyOverride,),
    "safety.text_threshold": (TextThresholdOverride,),
    "safety.category": (PromptCategoryOverride,),
    "safety.rule_switch": (RuleOverride,),
}


@dataclass(frozen=True)
class ThresholdRow:
    """A class, or a kind of person, with the scores in force and the overrides that give them."""

    row: str
    label: str
    kind: bool
    block: float
    review: float
    version: str
    override: Override | None
    has_review: bool

    @property
    def review_percent(self) -> float:
        return round(100 * self.review, 1)

    @property
    def block_percent(self) -> float:
        return round(100 * self.block, 1)


@dataclass(frozen=True)
class ScanRow:
    """Faces, or the review level of a class: what holds."""

    field: str
    label: str
    words: str
    raised: bool  # other than what an installation starts with
    override: Override | None


def threshold_rows(now: datetime) -> list[ThresholdRow]:
    found = thresholds.standing(now)
    made = _newest(ThresholdOverride, now, "threshold__frame_class")
    of_kinds = _newest(LikenessThresholdOverride, now, "threshold__kind")
    rows = []
    for frame_class in FrameClass:
        names = [(frame_class.value, frame_class.label, made.get(frame_class.value))]
        if frame_class == FrameClass.LIKENESS:
            names[0] = (frame_class.value, f"{frame_class.label}, kind not told", names[0][2])
            names += [(f"likeness/{k.value}", k.label, of_kinds.get(k.value)) for k in LikenessKind]
        for row, label, override in names:
            one = found.get(row)
            if one is not None:
                rows.append(
                    ThresholdRow(
                        row,
                        label,
                        "/" in row,
                        one.block_score,
                        one.review_score,
                        one.version,
                        override,
                        has_review=frame_class != FrameClass.CHILD_SAFETY,
                    )
                )
    return rows


def strictest(now: datetime) -> thresholds.EffectiveThreshold | None:
    """What counts for a likeness of unknown kind."""
    return thresholds.effective(now).get("likeness")


def scan_rows(now: datetime) -> list[ScanRow]:
    stance = policy_scans.in_force(now)
    made = _newest(ScanPolicyOverride, now, "field")
    rows = []
    for field, label in SCAN_LABELS.items():
        value = getattr(stance, field)
        choices = Faces if field == "faces" else ReviewLevel
        words = dict(choices.choices).get(value, value)
        raised = value not in (Faces.ALLOW, ReviewLevel.BY_SCORE)
        rows.append(ScanRow(field, label, words, raised, made.get(field)))
    return rows


@dataclass(frozen=True)
class LimitRow:
    """From which scores a category is refused in clips or code, and the newest live change of it."""

    row: str
    label: str
    kind: str
    limit: Limit
    override: Override | None


def limit_rows(now: datetime) -> list[LimitRow]:
    stages, _ = text_stages.live(now)
    made: dict[tuple[str, str], Override] = {}
    standing = TextThresholdOverride.objects.filter(removed_at=None).select_related("threshold")
    for override in standing.order_by("created_at", "id"):
        if in_force(override, now):
            made[override.threshold.category, override.threshold.kind] = override
    return [
        LimitRow(
            f"{limit.category}/{kind}",
            Category(limit.category).label,
            "clips" if kind == "clip" else kind,
            limit,
            made.get((limit.category, kind)),
        )
        for kind in ("clip", "code")
        for limit in stages[kind].limits
    ]


@dataclass(frozen=True)
class Eyes:
    """What looks at frames in this installation, said honestly."""

    face_gates: Sequence[str]
    unjudged: Sequence[str]
    accepted: str


def eyes() -> Eyes:
    faces = [gate.id for gate in gates() if getattr(gate, "sees_faces", False) and "likeness" in gate.classes]
    labels = dict(FrameClass.choices)
    return Eyes(faces, [labels[name].lower() for name in classes_without_judge()], acceptance())


@dataclass(frozen=True)
class CategoryRow:
    state: policy_suspensions.CategoryState
    clip_override: Override | None
    code_override: Override | None

    @property
    def suspended(self) -> bool:
        return self.state.clip_suspended or self.state.code_suspended


def category_rows(now: datetime) -> list[CategoryRow]:
    found: dict[tuple[str, str], Override] = {}
    for override in PromptCategoryOverride.objects.filter(removed_at=None).order_by("created_at", "id"):
        if in_force(override, now):
            found[override.category_id, override.field] = override
    return [
        CategoryRow(state, found.get((slug, "clip_suspended")), found.get((slug, "code_suspended")))
        for slug, state in policy_suspensions.states(now).items()
    ]


def rule_rows(now: datetime, wanted: str, category: str) -> tuple[list[policy_rules.RuleState], int]:
    """The rules that a search finds, live ones first, newest first; and how many there are of them in all."""
    needle = wanted.strip().lower()
    found = [
        state
        for state in policy_rules.states(now)
        if (not category or state.rule.category == category)
        and (
            not needle
            or needle in f"{state.rule.pattern} {state.rule.reason} {state.rule.author}".lower()
            or needle == str(state.rule.pk)
        )
    ]
    found.sort(key=lambda state: (not state.live, -state.rule.pk))
    return found[:RULES_SHOWN], len(found)


def versions() -> dict[str, PolicyVersion]:
    return {row.name: row for row in PolicyVersion.objects.filter(name__in=("text", "frames"))}


@dataclass(frozen=True)
class Change:
    """One line of the history."""

    entry: AuditEntry
    what: str
    before: str
    after: str
    undoes: bool
    stands: bool
    pattern: str = ""


def changes(now: datetime, limit: int = CHANGES_SHOWN) -> list[Change]:
    """The newest changes, with whether each can still be undone. Up to seven queries."""
    names = [*NAMES, *(f"{name}.undo" for name in NAMES)]
    entries = list(AuditEntry.objects.filter(action__in=names).order_by("-at", "-id")[:limit])
    standing = _standing(entries, now)
    rules = _live_rules(entries, now)
    return [_change(entry, standing, rules) for entry in entries]


def _standing(entries: list[AuditEntry], now: datetime) -> dict[str, set[int]]:
    """By table of overrides, those among what the entries made that still stand."""
    found = {}
    for name, tables in TABLES.items():
        made = [entry.undo["override"] for entry in entries if entry.action == name and entry.undo]
        for table in tables:
            rows = table.objects.filter(pk__in=made, removed_at=None) if made else ()
            found[table.__name__] = {row.pk for row in rows if row.expires_at is None or row.expires_at > now}
    return found


def _live_rules(entries: list[AuditEntry], now: datetime) -> set[int]:
    made = [entry.undo["rule"] for entry in entries if entry.action == AddRule.name and entry.undo]
    return {state.rule.pk for state in policy_rules.states(now) if state.live} & set(made) if made else set()


def _change(entry: AuditEntry, standing: dict[str, set[int]], rules: set[int]) -> Change:
    name = entry.action.removesuffix(".undo")
    undoes = entry.action != name
    if name == AddRule.name:
        category = dict(Category.choices).get(entry.target.partition(":")[2].partition("/")[0], "")
        live = bool(entry.undo) and entry.undo["rule"] in rules
        states = ("on", "off") if undoes else ("none", "on")
        rule = entry.after.get("rule", "")
        return Change(
            entry, f"Rule {rule} ({category.lower()})", *states, undoes, live, entry.after.get("pattern", "")
        )
    action: ChangePolicy = NAMES[name].of_entry(entry)
    values = [action.words(side.get(action.field)) for side in (entry.before, entry.after)]
    table = action.overrides.__name__
    stands = bool(entry.undo) and entry.undo["override"] in standing[table]
    return Change(entry, _what(action), *values, undoes, stands)


def _what(action: ChangePolicy) -> str:
    """The change in words without asking the database what it was about; it may be gone by now."""
    if action.kind == "rule":
        return f"Rule {action.row}"
    if action.kind == "scans":
        return SCAN_LABELS.get(action.field, action.field)
    if action.kind == "category":
        slug, _, kind = action.row.partition("/")
        return f"{slug.replace('_', ' ').capitalize()} in {'clips' if kind == 'clip' else kind}"
    return action.label


def _newest(table: type[Override], now: datetime, key: str) -> dict[str, Override]:
    """The newest override in force per row or field."""
    rows = table.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), removed_at=None)
    rows = rows.order_by("created_at", "id")
    named = zip(rows.values_list(key, flat=True), rows, strict=True)
    return dict(named)
