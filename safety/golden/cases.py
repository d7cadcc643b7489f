"""The golden and adversarial sets: cases that every filter is held to. They only grow.

What the repository holds lies in `safety/golden/*.jsonl` and is planted by migrations; review decisions and incidents
add cases of their own with `add`. `released.json` has how many were released last.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.errors import ApiError
from safety.policy.records import GoldenCase

FOLDER = Path(__file__).parent
FILES = ("golden", "adversarial", "frames")
RELEASED = FOLDER / "released.json"
AUTHOR = "Backlot"
PROMPT, FRAME = "prompt", "frame"
SUITES = {PROMPT: ("golden", "adversarial"), FRAME: ("frames",)}

Suite, Expected = GoldenCase.Suite, GoldenCase.Expected


@dataclass(frozen=True)
class Case:
    """A case to add. A prompt has `text` and `kinds` (clip, code); a picture has a `recipe` instead.

    `category` is that of the text filter, or the frame class, where it must be blocked; "" where it must pass.
    """

    expected: str
    category: str = ""
    text: str = ""
    kinds: Sequence[str] = ("clip",)
    recipe: Mapping | None = field(default=None)

    @property
    def suite(self) -> str:
        if self.recipe is not None:
            return Suite.FRAMES
        return Suite.GOLDEN if self.expected == Expected.PASS else Suite.ADVERSARIAL

    @property
    def stored_kinds(self) -> list[str]:
        return [] if self.recipe is not None else sorted(self.kinds)


def cases(kind: str, *, expected: str | None = None) -> QuerySet[GoldenCase]:
    """The cases in use of a kind (`prompt` or `frame`), oldest first; with `expected` only those that must end so."""
    rows = GoldenCase.objects.filter(suite__in=SUITES[kind], retired_at=None).order_by("id")
    return rows.filter(expected=expected) if expected else rows


def counts() -> dict[str, int]:
    """How many cases each suite has ever had; retired ones count, since they are kept."""
    found = Counter(GoldenCase.objects.values_list("suite", flat=True))
    return {suite: found[suite] for suite in FILES}


def add(case: Case, source: str, reason: str, author: str) -> GoldenCase:
    """Add a case; the one that stands already where the same is asked with the same answer.

    Raises `ApiError`: missing_required_parameter without a reason, invalid_value for a case that can't be, and for one
    that contradicts a case in use: that one has to be retired first.
    """
    if not reason.strip():
        raise ApiError("missing_required_parameter", "Say why this case is added.", param="reason")
    standing = _standing(case)
    if standing is None:
        try:
            with transaction.atomic():
                return _insert(case, source, reason, author)
        except IntegrityError as error:
            standing = _standing(case)
            if standing is None:
                message = "A case is a text with kinds or a picture's recipe, and has a category if it must be blocked."
                raise ApiError("invalid_value", message, param="case") from error
    if (standing.expected, standing.category) != (case.expected, case.category):
        message = f"Golden case {standing.pk} says otherwise about the same thing. Retire it first."
        raise ApiError("invalid_value", message, param="case")
    return standing


def retire(case_id: int, reason: str, author: str, now: datetime) -> None:
    """Take a case out of use, with a reason; it stays on record. Child safety's cases are never retired."""
    if not reason.strip():
        raise ApiError("missing_required_parameter", "Say why this case is retired.", param="reason")
    rows = GoldenCase.objects.filter(pk=case_id, retired_at=None)
    if rows.filter(category="child_safety", expected=Expected.BLOCK).exists():
        raise ApiError("invalid_value", "Cases of child safety are never retired.", param="case")
    if not rows.update(retired_at=now, retired_by=author, retired_reason=reason):
        raise ApiError("not_found", f"There is no golden case {case_id} in use.", param="case")


def digest(text: str, recipe: Mapping | None) -> str:
    """What makes a case one and the same: the text, or the recipe."""
    asked = text if recipe is None else json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(f"{'prompt' if recipe is None else 'frame'}\n{asked}".encode()).hexdigest()


def shipped() -> Iterator[dict]:
    """The fields of every case that the repository holds, file by file."""
    for name in FILES:
        for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            recipe, text = fields.get("recipe"), fields.get("text", "")
            yield {
                "suite": fields["suite"],
                "expected": fields["expected"],
                "category": fields["category"],
                "kinds": fields.get("kinds", []),
                "text": text,
                "recipe": recipe,
                "reason": fields["reason"],
                "source": f"golden/{name}.jsonl",
                "author": AUTHOR,
                "digest": digest(text, recipe),
            }


def plant(model: type[GoldenCase]) -> int:
    """Add the shipped cases that the table has never had; how many. `model` may be a migration's historical one."""
    known = set(model.objects.values_list("digest", flat=True))
    missing = [model(**fields) for fields in shipped() if fields["digest"] not in known]
    model.objects.bulk_create(missing, batch_size=500)
    return len(missing)


def _standing(case: Case) -> GoldenCase | None:
    return GoldenCase.objects.filter(digest=digest(case.text, case.recipe), retired_at=None).first()


def _insert(case: Case, source: str, reason: str, author: str) -> GoldenCase:
    return GoldenCase.objects.create(
        suite=case.suite,
        expected=case.expected,
        category=case.category,
        kinds=case.stored_kinds,
        text=case.text,
        recipe=case.recipe,
        source=source,
        reason=reason,
        author=author,
        digest=digest(case.text, case.recipe),
    )
