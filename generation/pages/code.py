"""Code: a prompt, and the answer as it is written. A reload loses nothing: the text comes from the stored segments."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller, session_caller
from billing.settlement_rules import RULES
from generation import admission, history, registry, streams
from generation.code import partial
from generation.code.partial import Partial
from generation.models import Job, Kind, TokenSegment
from generation.pages import live
from generation.pages.cards import cards

SHOWN = 8
FIELDS = ("prompt", "max_tokens", "temperature", "seed", "partial")
LENGTHS = (32, 64, 128, 192)
USUAL_LENGTH = "128"
EXAMPLE = 'def mean(values):\n    """The arithmetic mean of a list of numbers."""\n'


@require_http_methods(["GET", "POST"])
@member("generate")
def code(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The prompt; a POST queues it and leads to its answer."""
    if request.method == "GET":
        return _page(request, caller, {"prompt": request.GET.get("prompt", "")})
    fields = _given(request)
    try:
        job = admission.submit_code(caller, _typed(fields), source="studio")
    except ApiError as error:
        return _page(request, caller, fields, error=error)
    return redirect("code_answer", job.public_id)


@require_POST
@member("generate")
def quote(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The line under the prompt: what it costs at most and from where, or why it can't be written."""
    return render(request, "generation/parts/quote.html", _quoted(caller, _given(request)))


@require_GET
@member("generate")
def answer(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """One completion: what is there of it now, and the rest by /events. `show` is `all`, or `valid` for what parses."""
    job = history.find(caller.organization.pk, job_id, Kind.CODE)
    fields = {"prompt": job.prompt, "max_tokens": str(job.spec["max_tokens"])}
    if job.spec.get("partial"):
        fields["partial"] = "ast"
    return _page(request, caller, fields, job=job)


async def events(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The text as it is written, numbered, so that Last-Event-ID resumes; then `end`."""
    caller = await live.in_thread(session_caller, request)
    if caller is None:
        return HttpResponse(status=403)
    await live.in_thread(history.find, caller.organization.pk, job_id, Kind.CODE)
    last = request.headers.get("Last-Event-ID", "0")
    return live.response(_token_events(job_id, int(last) if last.isdecimal() else 0))


async def _token_events(job_id: UUID, after: int) -> AsyncIterator[str]:
    async for token in streams.follow_tokens(job_id, after=after):
        if token is None:
            yield ": alive\n\n"
        elif token.finish_reason or token.error:
            yield live.event("end", json.dumps({"error": token.error, "finish_reason": token.finish_reason}))
        else:
            yield live.event("text", json.dumps(token.text), number=token.seq)


@dataclass(frozen=True)
class Answer:
    """The text of a completion as far as it is stored, and where only what parses is shown of it, where it was cut."""

    whole: str
    cut: Partial | None = None

    @property
    def shown(self) -> str:
        return self.cut.applied(self.whole) if self.cut else self.whole

    @property
    def left_out(self) -> int:
        """Characters at the end that are not shown."""
        return len(self.whole) - self.cut.keep if self.cut else 0


def _looked_at(job: Job, show: str | None) -> Answer:
    """All of it or its valid part: as chosen, or else as it was asked for, where it ended at its most tokens."""
    whole = answer_of(job)
    wanted = (
        bool(job.spec.get("partial")) and job.finish_reason == "length" if show is None else show == "valid"
    )
    if job.is_open or not wanted:
        return Answer(whole)
    language = job.spec.get("partial") or partial.LANGUAGES[0]
    if job.spec.get("turns"):
        return Answer(whole, partial.longest_in_conversation(whole, language))
    return Answer(whole, partial.longest(whole, language, before=job.prompt))


def answer_of(job: Job) -> str:
    """The text of a completion as far as it is stored; one query."""
    return "".join(TokenSegment.objects.filter(job=job).order_by("seq").values_list("text", flat=True))


def _given(request: HttpRequest) -> dict[str, str]:
    fields = {name: request.POST[name] for name in FIELDS if request.POST.get(name, "").strip()}
    fields["prompt"] = fields.get("prompt", "").replace("\r\n", "\n")  # how forms write a line's end
    return fields


def _quoted(caller: Caller, fields: dict[str, str]) -> dict:
    """The quote or the refusal; the example is quoted while nothing is written."""
    asked = {"max_tokens": USUAL_LENGTH, **fields, "prompt": fields.get("prompt") or EXAMPLE}
    try:
        return {"quoted": admission.quote_code(caller, _typed(asked))}
    except ApiError as error:
        return {"refused": error}


def _typed(fields: dict[str, str]) -> dict:
    """Numbers as numbers, where a form has only text; what is no number stays text and is refused by name."""
    typed: dict = dict(fields)
    for name, kind in (("max_tokens", int), ("temperature", float), ("seed", int)):
        if name in typed:
            try:
                typed[name] = kind(typed[name])
            except ValueError:
                continue  # specs.py names the field in its refusal
    if kept := typed.pop("partial", None):
        typed["backlot"] = {"partial": kept}
    return typed


def _page(
    request: HttpRequest, caller: Caller, fields: dict, error: ApiError | None = None, job: Job | None = None
) -> HttpResponse:
    page = {
        "fields": fields,
        "error": error,
        "model": registry.find(None, Kind.CODE),
        "example": EXAMPLE,
        "lengths": [(str(n), str(n) == fields.get("max_tokens", USUAL_LENGTH)) for n in LENGTHS],
        "settlement_rules": RULES,
        **_quoted(caller, fields),
        "recent": history.newest(caller.organization.pk, caller.user.pk, Kind.CODE, SHOWN),
    }
    if job is not None:
        page |= {"job": job, "card": cards([job])[0], "answer": _looked_at(job, request.GET.get("show"))}
    return render(request, "generation/code.html", page, status=error.status if error else 200)
