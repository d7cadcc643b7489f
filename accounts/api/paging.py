"""Lists read page by page: newest first, `limit` at a time, each page behind the `last_id` of the one before."""

from collections.abc import Callable
from typing import Annotated, Any

from django.db.models import Model, QuerySet
from ninja import Query

MOST, USUAL = 100, 20
LARGEST_ID = 2**63 - 1
Limit = Annotated[int, Query(USUAL, ge=1, le=MOST, description="How many at most.")]
After = Annotated[
    int | None, Query(None, ge=1, le=LARGEST_ID, description="The `last_id` of the page before.")
]


def page(
    found: QuerySet, limit: int, show: Callable[[Model], dict[str, Any]], *, last: str = "id"
) -> dict[str, Any]:
    """A page of rows that are ordered and begin behind the cursor already; one query."""
    rows = list(found[: limit + 1])
    shown = [show(row) for row in rows[:limit]]
    return {"data": shown, "has_more": len(rows) > limit, "last_id": shown[-1][last] if shown else None}
