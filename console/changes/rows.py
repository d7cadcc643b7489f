"""Changes as pages show them: newest first, in words, with what they moved and whether they can be undone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from accounts.models import AuditEntry
from console.changes import effects, figures, kinds
from console.changes.kinds import Kind
from console.changes.standing import standing
from console.models import MeasuredEffect, RunbookUse
from console.templatetags.figures import significant
from generation.scheduling.setting_actions import LANE_SETTINGS, POOL_SETTINGS, RAISE_SETTINGS

PER_PAGE = 50
OF_RUNBOOK = 12
BACK = timedelta(days=7)
NOTHING = "nothing to measure"
LEFT_OUT = {"expires_at", "override", "approval", "approved_by", "jobs", "share"}
SETTINGS = {**LANE_SETTINGS, **POOL_SETTINGS, **RAISE_SETTINGS}


@dataclass(frozen=True)
class Effect:
    """What a change moved, in words; `better` is 1 where it got better, -1 where worse, 0 where that can't be said."""

    title: str
    before: str
    after: str
    better: int

    @property
    def nothing(self) -> bool:
        return self.before == self.after == NOTHING


@dataclass(frozen=True)
class Change:
    """One line. `measuring` until its effect is known, where it has one; `use` is the runbook it was made from."""

    entry: AuditEntry
    kind: Kind
    undoes: bool
    before: str
    after: str
    effects: list[Effect]
    measuring: bool
    stands: bool
    use: RunbookUse | None

    @property
    def target(self) -> str:
        return self.entry.target.partition(":")[2]

    @property
    def undoable(self) -> bool:
        return self.stands and self.kind.again is not None


def newest(now: datetime, *, action: str = "", who: str = "", before: int | None = None) -> list[Change]:
    """The newest changes by people and by parts of the system, one more than a page holds; seven queries and one per
    kind that is among them."""
    found = AuditEntry.objects.filter(action__in=kinds.NAMES)
    if action:
        found = found.filter(Q(action=action) | Q(action=f"{action}{kinds.UNDO}"))
    if who:
        found = found.filter(actor_name__icontains=who)
    if before is not None:
        found = found.filter(pk__lt=before)
    return shown(found.order_by("-pk")[: PER_PAGE + 1], now)


def of_runbook(slug: str, now: datetime, incident: int | None = None) -> list[Change]:
    """What was changed from a runbook in the last days; with an incident, all that was changed for it."""
    uses = Q(runbook_use__incident=incident) if incident else Q(runbook_use__runbook=slug, at__gt=now - BACK)
    return shown(AuditEntry.objects.filter(uses).order_by("-pk")[:OF_RUNBOOK], now)


def between(since: datetime, until: datetime, now: datetime) -> list[Change]:
    """Every change of a span, such as an incident's; newest first, at most a page."""
    found = AuditEntry.objects.filter(action__in=kinds.NAMES, at__gte=since, at__lt=until)
    return shown(found.order_by("-at", "-pk")[:PER_PAGE], now)


def shown(entries: QuerySet[AuditEntry], now: datetime) -> list[Change]:
    """Entries of the known kinds, in words."""
    rows = [entry for entry in entries if entry.action in kinds.NAMES]
    ids = [entry.pk for entry in rows]
    measured: dict[int, list[MeasuredEffect]] = {}
    for one in MeasuredEffect.objects.filter(entry__in=ids).order_by("pk"):
        measured.setdefault(one.entry_id, []).append(one)
    uses = {use.entry_id: use for use in RunbookUse.objects.filter(entry__in=ids)}
    still = standing(rows, now)
    return [
        _change(entry, measured.get(entry.pk, []), uses.get(entry.pk), entry.pk in still, now)
        for entry in rows
    ]


def _change(
    entry: AuditEntry, measured: Sequence[MeasuredEffect], use: RunbookUse | None, stands: bool, now: datetime
) -> Change:
    kind = kinds.of(entry)
    waits = not measured and kind.moves is not kinds.nothing and now - entry.at < effects.WINDOW * 2
    return Change(
        entry,
        kind,
        entry.action.endswith(kinds.UNDO),
        words(entry.before),
        words(entry.after),
        [effect_words(one) for one in measured],
        waits,
        stands,
        use,
    )


def words(values: Any) -> str:
    """What an entry keeps of before or after, for people."""
    if not isinstance(values, dict):
        return "" if values is None else str(values)
    parts = [_one(name, value) for name, value in values.items() if name not in LEFT_OUT]
    return ", ".join(part for part in parts if part)


def _one(name: str, value: Any) -> str:
    if name in SETTINGS:
        return f"{SETTINGS[name].label.lower()} {SETTINGS[name].words(value)}"
    label = name.removesuffix("_micro").replace("_", " ")
    if name.endswith("_micro") and isinstance(value, int):
        return f"{label} {significant(value / 1_000_000)} credits"
    if isinstance(value, bool):
        return label if value else f"not {label}"
    if isinstance(value, float):
        return f"{label} {significant(value)}"
    if isinstance(value, list):
        return f"{label} {', '.join(str(one) for one in value)}"
    return "" if value is None else f"{label} {str(value)[:120]}"


def effect_words(one: MeasuredEffect) -> Effect:
    told = figures.WORDS[one.figure]
    better = 0
    if one.before is not None and one.after is not None and one.before != one.after:
        better = told.better * (1 if one.after > one.before else -1)
    return Effect(told.title, _figure(one.before, told.unit), _figure(one.after, told.unit), better)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    if unit == "%":
        return f"{significant(round(value * 100, 2))} %"
    return f"{significant(round(value, 2))} {unit}".rstrip()
