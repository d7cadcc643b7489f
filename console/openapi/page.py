"""The API's own pages, from its OpenAPI document: they need no network, no script and no sign-in."""

from functools import cache

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.errors import TABLE
from console.api import api
from console.openapi import answers
from console.openapi.reading import SUBJECTS, Operation, operations


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """How to call, what holds for every call, and all calls by subject."""
    found = _by_subject()
    page = {
        "subjects": [(*_named(subject), found[subject]) for subject in found],
        "errors": [
            (status, code, kind, again, answers.MESSAGES[code])
            for code, (status, kind, again) in TABLE.items()
            if code in answers.MESSAGES
        ],
        "address": _address(request),
    }
    return render(request, "console/docs/index.html", page)


@require_safe
def subject(request: HttpRequest, subject: str) -> HttpResponse:
    """The calls of one subject in full."""
    found = _by_subject()
    if subject not in found:
        raise Http404
    address = _address(request)
    shown = [(one, one.curl(address), one.python(address)) for one in found[subject]]
    link, name, lead = _named(subject)
    page = {
        "name": name,
        "lead": lead,
        "here": link,
        "operations": shown,
        "subjects": list(map(_named, found)),
    }
    return render(request, "console/docs/subject.html", page)


def _named(subject: str) -> tuple[str, str, str]:
    name, lead = SUBJECTS.get(subject, (subject.capitalize(), ""))
    return reverse("api_docs_subject", args=[subject]), name, lead


def _address(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")


@cache
def _by_subject() -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {name: [] for name in SUBJECTS}
    for one in operations(api.get_openapi_schema()):
        found.setdefault(one.subject, []).append(one)
    return {name: those for name, those in found.items() if those}
