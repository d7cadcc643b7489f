"""The library: an organization's clips as a gallery, and two of them side by side."""

import re
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from generation import history, registry
from generation.library import Question, shelf
from generation.models import Job, Kind
from generation.pages.addresses import JobAddress
from generation.pages.cards import Unasked, cards

STATES = {"": "All", "delivered": "Finished", "open": "Being made", "stopped": "Stopped"}
ORDERS = {"": "Newest first", "oldest": "Oldest first"}
WHOSE = {"": "Everyone's", "mine": "Mine"}
MOST_WORDS_CHARACTERS = 200


@require_GET
@member("read")
def library(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The gallery. Filters in the address: `q`, `state`, `size`, `seconds`, `whose`, `order`; `after` is the cursor."""
    sizes, lengths = _possible()
    question = Question(
        words=request.GET.get("q", "")[:MOST_WORDS_CHARACTERS].replace("\x00", ""),
        state=_choice(request, "state", STATES),
        size=_choice(request, "size", ["", *sizes]),
        seconds=_choice(request, "seconds", ["", *lengths]),
        mine=_choice(request, "whose", WHOSE) == "mine",
        oldest_first=_choice(request, "order", ORDERS) == "oldest",
        after=_after(request),
    )
    found = shelf(caller.organization.pk, caller.user.pk, question)
    shown = {
        "question": question,
        "shelf": found,
        "cards": cards(found.jobs, Unasked()),
        "states": STATES.items(),
        "orders": ORDERS.items(),
        "whose": WHOSE.items(),
        "sizes": sizes,
        "lengths": lengths,
        "paged": question.after is not None,
    }
    return render(request, "generation/library.html", shown)


@dataclass(frozen=True)
class Fact:
    """One line of the comparison: the same thing of both clips."""

    name: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        return self.left != self.right


@require_GET
@member("read")
def compare(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Two clips side by side, played in step; `clip` names both. With fewer it leads back to choose."""
    named = [_job_id(one) for one in request.GET.getlist("clip")]
    if len(named) < 2 or None in named:
        return redirect("library")
    pair = [history.find(caller.organization.pk, one, Kind.CLIP) for one in named[:2]]
    left, right = cards(pair, Unasked())
    shown = {"left": left, "right": right, "pair": (left, right), "facts": _facts(*pair)}
    return render(request, "generation/compare.html", shown)


def _facts(left: Job, right: Job) -> list[Fact]:
    """What both were asked for, in words."""
    rows = (
        ("Prompt", lambda job: job.prompt),
        ("Seed", lambda job: str(job.seed)),
        ("Size", lambda job: f"{job.spec['width']} × {job.spec['height']}"),
        ("Length", lambda job: f"{job.spec['seconds']} s"),
        ("Steps", lambda job: str(job.steps)),
        ("Model", lambda job: f"{job.model.name} {job.model.revision[:8]}"),
        ("Precision", lambda job: job.spec.get("precision") or job.model.precision),
    )
    return [Fact(name, read(left), read(right)) for name, read in rows]


def _possible() -> tuple[list[str], list[str]]:
    """The sizes and lengths that some model here makes; one query."""
    models = [model for model in registry.available() if model.kind == Kind.CLIP]
    sizes = {size for model in models for size in model.can.sizes}
    lengths = {seconds for model in models for seconds in model.can.seconds}
    by_area = sorted(sizes, key=lambda size: [int(one) for one in size.split("x")])
    return by_area, [str(seconds) for seconds in sorted(lengths)]


def _choice(request: HttpRequest, name: str, choices: dict[str, str] | list[str]) -> str:
    value = request.GET.get(name, "")
    if value not in choices:
        raise ApiError("invalid_value", f"There is no {name} {value!r:.40} to filter by.", param=name)
    return value


def _after(request: HttpRequest) -> UUID | None:
    value = request.GET.get("after", "")
    if not value:
        return None
    found = _job_id(value)
    if found is None:
        raise ApiError("invalid_value", "`after` is no id of a clip.", param="after")
    return found


def _job_id(value: str) -> UUID | None:
    address = JobAddress()
    return address.to_python(value) if re.fullmatch(address.regex, value) else None
