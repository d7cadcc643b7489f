"""History: every job of the organization, newest first, filtered in the address."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from generation import history
from generation.models import Kind

KINDS = {"": "Everything", Kind.CLIP.value: "Clips", Kind.CODE.value: "Code"}
STATES = {"": "Any state", "open": "Open", "delivered": "Delivered", "stopped": "Stopped"}


@require_GET
@member("read")
def jobs(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The list. Filters: `kind`, `state`; `before` is the id of the last job on the page before."""
    kind, state = _choice(request, "kind", KINDS), _choice(request, "state", STATES)
    found = history.page(caller.organization.pk, kind=kind, state=state, before=_before(request))
    shown = {"page": found, "kind": kind, "state": state, "kinds": KINDS.items(), "states": STATES.items()}
    return render(request, "generation/history.html", {**shown, "paged": "before" in request.GET})


def _choice(request: HttpRequest, name: str, choices: dict[str, str]) -> str:
    value = request.GET.get(name, "")
    if value not in choices:
        raise ApiError("invalid_value", f"There is no {name} {value!r:.40} to filter by.", param=name)
    return value


def _before(request: HttpRequest) -> UUID | None:
    value = request.GET.get("before")
    if not value:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise ApiError("invalid_value", "`before` is no job id.", param="before") from None
