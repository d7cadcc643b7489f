"""The pages of runbooks: all of them, one with its actions in place, and applying an action."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, StaffRole, User
from console.alarms import board
from console.alarms.policy.catalog import BY_NAME
from console.changes import rows as changes
from console.runbooks import panels
from console.runbooks.books.catalog import BOOKS, BY_SLUG
from console.runbooks.books.shapes import Runbook
from console.runbooks.tools.shapes import Asked

ROLES = (StaffRole.Role.OPERATOR, StaffRole.Role.TRUST_SAFETY)


@require_GET
@staff(*ROLES)
def runbooks(request: HttpRequest, person: User) -> HttpResponse:
    """All of them; those whose alarm fires first, safety before money before service."""
    firing = {row.alarm.name for row in board.board(timezone.now()).rows if row.firing}
    books = [{"book": book, "alarm": BY_NAME.get(book.slug), "firing": book.slug in firing} for book in BOOKS]
    books.sort(key=lambda one: (not one["firing"], -(one["alarm"].grave if one["alarm"] else 0)))
    return render(request, "console/runbooks/index.html", {"books": books})


@require_GET
@staff(*ROLES)
def runbook(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """One of them; `?do=<step>` opens a step with what it would do now, `?scope=` is the alarm's."""
    return _page(request, person, _book(slug), request.GET)


@require_POST
@staff(*ROLES)
def do(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """Apply a step that was looked at; back to the page that it was opened on."""
    book, form = _book(slug), request.POST
    try:
        want = panels.wanted(book, form.get("do", ""), form, Asked(form.get("scope", ""), timezone.now()))
        done, said = panels.apply(person, want, form, _number(form.get("incident", "")))
    except ApiError as error:
        return _page(request, person, book, form, error)
    if isinstance(done, Approval):
        messages.info(request, f"{done.limit} It waits under Approvals; nothing was changed yet.")
    else:
        messages.success(request, f"Done. {said}")
    back = form.get("back", "")
    here = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    return redirect(back if here and back.startswith("/") else reverse("operate_runbook", args=[slug]))


def _book(slug: str) -> Runbook:
    if slug not in BY_SLUG:
        raise Http404
    return BY_SLUG[slug]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _page(
    request: HttpRequest, person: User, book: Runbook, asked: QueryDict, error: ApiError | None = None
) -> HttpResponse:
    now, scope = timezone.now(), asked.get("scope", "")[:100]
    where = {"scope": scope, "incident": _number(asked.get("incident", ""))}
    try:
        shown = panels.shown(person, book, asked, now, **where, error=error)
    except ApiError as refusal:
        shown, error = panels.closed(person, book, **where), error or refusal
    alarm = BY_NAME.get(book.slug)
    page = {
        "book": book,
        "alarm": alarm,
        "standing": board.board(now, book.slug).rows if alarm else [],
        "runbook": shown,
        "here": reverse("operate_runbook", args=[book.slug]),
        "error": error,
        "back": asked.get("back", ""),
        "changes": changes.of_runbook(book.slug, now),
    }
    return render(request, "console/runbooks/book.html", page, status=error.status if error else 200)
