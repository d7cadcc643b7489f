"""An organization's clips as a gallery asks for them: filtered, in either order of time, in pages behind a cursor.

Read-only. What has no index of its own (words, size, length, model, whose) is looked for among so many clips at a time,
so that a page costs as much with ten clips as with millions; the cursor then goes on behind what was looked at.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from generation import history
from generation.api.paging import behind
from generation.history import STATE_GROUPS
from generation.models import Job, Kind

PAGE_SIZE = 24
LOOKED_AT = 2_000  # clips that one page looks through for what has no index
MOST_WORDS = 6


@dataclass(frozen=True)
class Question:
    """What is asked for; empty is anything. `state` is a name of `history.STATE_GROUPS`, `size` is WIDTHxHEIGHT."""

    words: str = ""
    state: str = ""
    size: str = ""
    seconds: str = ""
    mine: bool = False
    oldest_first: bool = False
    after: UUID | None = None

    @property
    def narrow(self) -> bool:
        """Whether it asks for what has no index."""
        return bool(self.words.strip() or self.size or self.seconds or self.mine)

    @property
    def filtered(self) -> bool:
        return self.narrow or bool(self.state)


@dataclass(frozen=True)
class Shelf:
    """A page. `next` is the id to go on after, None at the end; `looked_at` says that the search stopped for now."""

    jobs: list[Job]
    next: UUID | None
    looked_at: bool = False


def shelf(organization_id: int, user_id: int | None, question: Question) -> Shelf:
    """A page of the organization's clips; six queries at most. Raises `ApiError` invalid_value for a strange cursor."""
    clips = Job.objects.filter(organization_id=organization_id, kind=Kind.CLIP)
    order = "asc" if question.oldest_first else "desc"
    clips = behind(clips, order, question.after, organization_id)
    found = history.visible(organization_id).filter(kind=Kind.CLIP)
    edge = None
    if question.narrow:
        looked = list(clips.values_list("pk", flat=True)[:LOOKED_AT])
        edge = looked[-1] if len(looked) == LOOKED_AT else None
        found = found.filter(_fits(question, user_id), pk__in=looked)
    if question.state:
        found = found.filter(state__in=STATE_GROUPS[question.state])
    found = behind(found, order, None if question.narrow else question.after, organization_id)
    jobs = list(found[: PAGE_SIZE + 1])
    if len(jobs) > PAGE_SIZE:
        return Shelf(jobs[:PAGE_SIZE], jobs[PAGE_SIZE - 1].pk)
    return Shelf(jobs, edge, looked_at=edge is not None)


def _fits(question: Question, user_id: int | None) -> Q:
    fits = Q()
    for word in question.words.split()[:MOST_WORDS]:
        fits &= Q(prompt__icontains=word)
    if question.size:
        width, height = question.size.split("x")
        fits &= Q(spec__width=int(width), spec__height=int(height))
    if question.seconds:
        fits &= Q(spec__seconds=int(question.seconds))
    if question.mine:
        fits &= Q(created_by_id=user_id)
    return fits


def recent_prompts(organization_id: int, user_id: int, limit: int) -> list[str]:
    """The words that a person used last for clips here, the newest first, each once; one query."""
    rows: QuerySet = Job.objects.filter(
        organization_id=organization_id, kind=Kind.CLIP, created_by_id=user_id, deleted_at=None
    )
    newest = rows.order_by("-created_at").values_list("prompt", flat=True)[: limit * 5]
    return list(dict.fromkeys(newest))[:limit]
