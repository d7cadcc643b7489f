"""Which prompt categories are suspended: requests for them are refused until that ends. Read anew for every request."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from accounts import overrides
from accounts.overrides import Overriding
from safety.policy.proposed import Proposed
from safety.policy.records import PromptCategory, PromptCategoryOverride
from safety.policy.thresholds import counted

NEAR = 0.5
FIELDS = {"clip": "clip_suspended", "code": "code_suspended"}


@dataclass(frozen=True, slots=True)
class CategoryState:
    """A prompt category now; `version` names the rows it comes from ("1", "1+o4")."""

    slug: str
    label: str
    benign: bool
    clip_suspended: bool
    code_suspended: bool
    version: str

    def suspended(self, kind: str) -> bool:
        return getattr(self, FIELDS[kind])


def states(now: datetime, proposed: Proposed | None = None) -> dict[str, CategoryState]:
    """slug → state of every prompt category at `now`, the text filter's first, with `proposed`. Two queries."""
    standing: dict[str, list[Overriding]] = defaultdict(list)
    for override in PromptCategoryOverride.objects.filter(removed_at=None).order_by("created_at", "id"):
        standing[override.category_id].append(override)
    if proposed and proposed.kind == "category":
        standing[proposed.row.partition("/")[0]].append(proposed)
    rows = PromptCategory.objects.order_by("benign", "label")
    return {row.slug: _state(row, standing[row.slug], now) for row in rows}


def _state(row: PromptCategory, standing: list[Overriding], now: datetime) -> CategoryState:
    baseline = {"clip_suspended": row.clip_suspended, "code_suspended": row.code_suspended}
    values = overrides.effective(baseline, standing, now)
    version = "+o".join([str(row.version), *map(str, counted(standing, now))])
    return CategoryState(row.slug, row.label, row.benign, **values, version=version)


def suspended(kind: str, now: datetime, proposed: Proposed | None = None) -> dict[str, CategoryState]:
    """slug → state of the categories that are suspended for `clip` or `code` at `now`."""
    return {slug: state for slug, state in states(now, proposed).items() if state.suspended(kind)}


def live(now: datetime) -> tuple[dict[str, dict[str, CategoryState]], datetime | None]:
    """kind → what is suspended at `now`, and the moment from which that has to be asked again."""
    found = {kind: suspended(kind, now) for kind in FIELDS}
    standing = PromptCategoryOverride.objects.filter(removed_at=None)
    moments = [moment for row in standing.values_list("created_at", "expires_at") for moment in row if moment]
    return found, min((moment for moment in moments if moment > now), default=None)


def near(suspended_now: Mapping[str, CategoryState], shares: Mapping[str, float]) -> list[str]:
    """The suspended categories of the text filter that a text comes near to.

    `shares` says per category how far the text is on the way to being refused (1: it is). From `NEAR` on a suspended
    category counts: nothing in it is taken, and what is almost refused is in it.
    """
    return [slug for slug, state in suspended_now.items() if not state.benign and shares.get(slug, 0) >= NEAR]


def hit(categories: Iterable[str], standing: Mapping[str, CategoryState]) -> CategoryState | None:
    """The first suspended one among the categories of a prompt; `standing` is what `suspended` answered.

    A prompt without a category can't be told apart from the suspended ones: it is held to be of any, and refused.
    """
    if not standing:
        return None
    named = list(categories)
    if not named:
        return next(iter(standing.values()))
    return next((standing[slug] for slug in named if slug in standing), None)


def message(label: str, kind: str) -> str:
    """What the customer is told."""
    requests = "Clips" if kind == "clip" else "Code"
    return (
        f"{requests} about this are not taken at the moment ({label.lower()}). Nothing was queued or charged."
    )
