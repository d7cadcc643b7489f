"""The studio: one column to write a clip, or several with other seeds, one to watch them being made."""

import re
from collections.abc import AsyncIterator
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller, session_caller
from accounts.models import TierTerms
from accounts.tiers import terms_for
from billing.settlement_rules import RULES
from generation import admission, history, library, registry, specs
from generation.inputs import input_images
from generation.lineage import remixes
from generation.models import Job, Kind, Lane, RegisteredModel, State
from generation.pages import live
from generation.pages.addresses import JobAddress
from generation.pages.cards import Card, Standings, cards
from generation.scheduling.standing import Standing, standing

SHOWN = 12
FIELDS = ("prompt", "size", "seconds", "seed", "model")
COUNTS = (1, 2, 4)  # clips from one press: the same words, one seed each
RECENT_PROMPTS = 8
LOOK_AGAIN_S = 15
# What a clip weighs doesn't depend on its words, so an empty prompt is quoted too.
ANY_PROMPT = "…"
EXAMPLES = (
    "a red ball rolling left over grass at sunset",
    "a small yellow star bouncing in the snow",
    "a big blue square falling over the sea",
)


@require_GET
@member("generate")
def studio(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; prompt, size, seconds and seed in the address fill the form, `remix` those of a finished clip."""
    parent = _parent(caller, request.GET)
    given = _fields(request.GET)
    return _page(request, caller, {**_own(parent), **given} if parent else given, parent=parent)


@require_POST
@member("generate")
def submit(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Queue a clip. With htmx the watching column comes back; without, the studio again."""
    fields, parent = _fields(request.POST), _parent(caller, request.POST)
    try:
        picture = input_images.received(request.FILES.get(input_images.PARAM))
        asked = {**fields, input_images.PARAM: picture}
        queued, refusal = _submit_all(caller, parent, asked, _count(request.POST))
    except ApiError as error:
        if not request.htmx:
            return _page(request, caller, fields, error, parent)
        answer = render(request, "generation/parts/refusal.html", {"error": error}, status=422)
        answer["HX-Retarget"], answer["HX-Reswap"] = "#quote", "innerHTML"
        return answer
    if request.htmx:
        stopped = {"queued": queued, "asked": _count(request.POST), "stopped_by": refusal}
        return render(request, "generation/parts/watching.html", {**_watching(caller), **stopped})
    if refusal:
        messages.warning(
            request, f"{queued} queued. The rest are not, and nothing is held for them: {refusal.message}"
        )
    return redirect("studio")


def _submit_all(caller: Caller, parent: Job | None, fields: dict, count: int) -> tuple[int, ApiError | None]:
    """Queue `count` clips, each decided on by itself: how many are queued, and what stopped the rest.

    A given seed, or that of the clip that is remixed, is the first one's, and the others count on from it. Raises the
    ApiError of the first: then none is queued.
    """
    first = fields.get("seed") or (str(parent.seed) if parent else None)
    for number in range(count):
        own = {**fields, "seed": _seed_of(first, number)}
        try:
            if parent:
                remixes.submit(caller, parent, own, source="studio")
            else:
                admission.submit_clip(caller, own, source="studio")
        except ApiError as error:
            if number == 0:
                raise
            return number, error
    return count, None


def _seed_of(given: str | None, number: int) -> str | None:
    """The seed of the clip with this number; a text that is none is left for specs.py to refuse by name."""
    if number == 0 or given is None or not (given.isascii() and given.isdigit()):
        return given
    return str((int(given) + number) % (specs.MOST_SEED + 1))


def _count(given: dict) -> int:
    """How many clips are asked for; anything that is not offered is one."""
    return next((count for count in COUNTS if str(count) == given.get("count")), COUNTS[0])


@require_GET
@member("generate")
def quote(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The live line under the prompt: what it costs at most and how long it takes, or why it can't be made."""
    return render(
        request, "generation/parts/quote.html", _quoted(caller, _fields(request.GET), _count(request.GET))
    )


async def events(request: HttpRequest) -> HttpResponseBase:
    """The cards of the jobs named by `job`, as often as given, whenever they change, until all have ended.

    The page names them, because one that ends between the page and this stream has its last change to tell still.
    """
    caller = await live.in_thread(session_caller, request)
    if caller is None:
        return HttpResponse(status=403)
    return live.response(_card_events(caller, _named_jobs(request), get_token(request)))


def _named_jobs(request: HttpRequest) -> list[UUID]:
    address = JobAddress()
    named = [one for one in request.GET.getlist("job") if re.fullmatch(address.regex, one)]
    return [address.to_python(one) for one in named[:SHOWN]]


async def _card_events(caller: Caller, ids: list[UUID], csrf_token: str) -> AsyncIterator[str]:
    standings = Standings()

    def look() -> tuple[dict[str, str], bool]:
        found = cards(history.those(caller.organization.pk, ids), standings)
        parts = {f"card-{card.job.pk.hex}": _card_html(card, csrf_token) for card in found}
        parts |= live.balance_part(caller.organization.pk)
        return parts, not any(card.job.is_open for card in found)

    async for one in live.changed_parts(ids, look):
        yield one


def _card_html(card: Card, csrf_token: str) -> str:
    return render_to_string("generation/parts/card.html", {"card": card, "csrf_token": csrf_token})


def _fields(given: dict) -> dict[str, str]:
    """The fields that were filled in; an empty one means the model's best."""
    return {name: given[name] for name in FIELDS if given.get(name, "").strip()}


def _parent(caller: Caller, given: dict) -> Job | None:
    """The clip that the form remixes, named as `remix`. Raises `ApiError` not_found for one that isn't there."""
    named, address = given.get("remix", ""), JobAddress()
    if not re.fullmatch(address.regex, named):
        return None
    return history.find(caller.organization.pk, address.to_python(named), Kind.CLIP)


def _own(parent: Job) -> dict[str, str]:
    """The fields of a clip, as the form would have sent them."""
    (card,) = cards([parent])
    return card.settings


def _page(
    request: HttpRequest,
    caller: Caller,
    fields: dict[str, str],
    error: ApiError | None = None,
    parent: Job | None = None,
) -> HttpResponse:
    terms = terms_for(caller.organization.pk, timezone.now())
    try:
        model = registry.find(fields.get("model"), Kind.CLIP)
    except ApiError:
        if fields.get("model"):
            raise
        return _no_model(request)
    given = request.POST or request.GET
    page = {
        "fields": fields,
        "parent": parent,
        "error": error,
        "model": model,
        "terms": terms,
        "models": _models(),
        "steps": min(terms.steps, model.can.steps_most or terms.steps),
        "counts": [(count, count == _count(given)) for count in COUNTS],
        "examples": EXAMPLES,
        "recent": library.recent_prompts(caller.organization.pk, caller.user.pk, RECENT_PROMPTS),
        "settlement_rules": RULES,
        "sizes": _sizes(model, terms, fields.get("size")),
        "seconds": _seconds(model, terms, fields.get("seconds")),
        **_quoted(caller, fields, _count(given)),
        **_watching(caller),
    }
    return render(request, "generation/studio.html", page, status=error.status if error else 200)


def _no_model(request: HttpRequest) -> HttpResponse:
    """Before the first model has passed its gate, in the first minutes of an installation."""
    answer = render(request, "generation/no_model.html", status=503)
    answer["Retry-After"] = str(LOOK_AGAIN_S)
    return answer


def _sizes(model: RegisteredModel, terms: TierTerms, chosen: str | None) -> list[dict]:
    """Every size the model can do, with whether the tier allows it, and which is chosen."""
    choices = []
    for size in model.can.sizes:
        long, short = sorted(map(int, size.split("x")), reverse=True)
        allowed = long <= terms.max_width and short <= terms.max_height
        choices.append({"value": size, "label": size.replace("x", " × "), "allowed": allowed})
    return _with_choice(choices, chosen)


def _seconds(model: RegisteredModel, terms: TierTerms, chosen: str | None) -> list[dict]:
    possible = model.can.seconds
    return _with_choice([{"value": str(s), "allowed": s <= terms.max_seconds} for s in possible], chosen)


def _with_choice(choices: list[dict], chosen: str | None) -> list[dict]:
    values = [choice["value"] for choice in choices]
    chosen = chosen if chosen in values else values[0]
    return [{**choice, "chosen": choice["value"] == chosen} for choice in choices]


def _models() -> list[RegisteredModel]:
    """The models to choose from, where there are several."""
    found = [model for model in registry.available() if model.kind == Kind.CLIP]
    return found if len(found) > 1 else []


def _quoted(caller: Caller, fields: dict[str, str], count: int = 1) -> dict:
    """The quote of so many clips, and when the first would be ready were it submitted now; or the refusal."""
    try:
        quoted = admission.quote_clip(caller, {**fields, "prompt": fields.get("prompt") or ANY_PROMPT})
    except ApiError as error:
        return {"refused": error}
    total = quoted["quote"].amount_micro * count
    return {"quoted": quoted, "expected": _expected(caller, quoted), "count": count, "total_micro": total}


def _expected(caller: Caller, quoted: dict) -> Standing:
    """Where a clip like the quoted one would stand, from a job that is never saved."""
    model = registry.find(quoted["model"], Kind.CLIP)
    terms = terms_for(caller.organization.pk, timezone.now())
    lane = Lane.objects.select_related("tier").get(pool_id=model.pool_id, tier_id=terms.tier_id)
    return standing(
        Job(
            organization=caller.organization,
            model=model,
            lane=lane,
            state=State.QUEUED,
            queued_at=timezone.now(),
            estimate_gpu_ms=quoted["gpu_ms"],
        )
    )


def _watching(caller: Caller) -> dict:
    found = cards(history.newest(caller.organization.pk, caller.user.pk, Kind.CLIP, SHOWN))
    return {"cards": found, "moving": any(card.job.is_open for card in found)}
