"""Review: what waits for people, and one item at a time with its frames, blurred until somebody asks."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation.afterwards import review_delivery, review_frames
from generation.models import Job
from safety.models import ReviewClaim, ReviewClass, ReviewItem, ReviewPolicy, UserReport, Verdict
from safety.review import queue as review

ROLE = StaffRole.Role.TRUST_SAFETY
SHOWN = 50
EVIDENCE_SHOWN = 12
REASONS = (
    "Nothing to object to",
    "Shows what was reported",
    "Against the policy",
    "Can't tell from the frames",
)
DONE = {
    "open": "Your decision is stored. A second person has to agree.",
    "escalated": "Escalated: somebody who decides those takes it from here.",
    "passed": "Passed. The clip is delivered.",
    "refused": "Blocked. The clip is not delivered, and nothing is charged for it.",
}


@require_GET
@staff(ROLE)
def queue(request: HttpRequest, person: User) -> HttpResponse:
    """What waits for this person, and what they had today; `?class=` narrows it down."""
    allowed = review.permissions(person)
    waiting = review.queue(person, allowed)
    chosen = request.GET.get("class", "")
    if chosen in allowed:
        waiting = waiting.filter(review_class=chosen)
    mine = ReviewClaim.objects.filter(review.LIVE, person=person).select_related("item").first()
    page = {
        "items": waiting[:SHOWN],
        "count": waiting.count(),
        "classes": [(name, label) for name, label in ReviewClass.choices if name in allowed],
        "chosen": chosen,
        "seen": review.exposed(person),
        "mine": mine,
    }
    return render(request, "console/safety/review.html", page)


@require_GET
@staff(ROLE)
def item(request: HttpRequest, person: User, item_id: int) -> HttpResponse:
    """One item, with what the gates and the reporters say."""
    return _page(request, person, item_id)


@require_POST
@staff(ROLE)
def claim(request: HttpRequest, person: User, item_id: int) -> HttpResponse:
    """Take it, for some minutes."""
    return _done(request, person, item_id, lambda: review.claim(item_id, person))


@require_POST
@staff(ROLE)
def release(request: HttpRequest, person: User, item_id: int) -> HttpResponse:
    """Give it back undecided."""
    review.release(item_id, person)
    messages.info(request, "The item is back in the queue.")
    return redirect("safety_review")


@require_POST
@staff(ROLE)
def reveal(request: HttpRequest, person: User, item_id: int) -> HttpResponse:
    """Show the frames clear for a moment; counted as exposure."""
    return _done(request, person, item_id, lambda: review.reveal(item_id, person))


@require_POST
@staff(ROLE)
def decide(request: HttpRequest, person: User, item_id: int) -> HttpResponse:
    """Pass, block or escalate, with a reason; then on to the next item."""
    given = {name: request.POST.get(name, "") for name in ("verdict", "reason", "chip")}
    reason = " ".join(part for part in (given["chip"], given["reason"].strip()) if part)
    try:
        decided = review_delivery.decide(
            item_id, person, given["verdict"], reason, feed="feed" in request.POST
        )
    except ApiError as error:
        return _page(request, person, item_id, error, given)
    messages.success(request, DONE[decided.state])
    following = review.queue(person).values_list("pk", flat=True).first()
    return redirect("safety_review_item", following) if following else redirect("safety_review")


@require_GET
@staff(ROLE)
def frame(request: HttpRequest, person: User, item_id: int, index: int) -> HttpResponse:
    """A frame as it may be seen now: blurred, or clear while a reveal of this person runs."""
    found = review.find(item_id, person)
    clear = "clear" in request.GET and review.may_see_clear(found, person)
    kind = review_frames.CLEAR if clear else review_frames.BLURRED
    content = review_frames.read(found, index, kind)
    if content is None:
        raise ApiError("not_found", "There is no such frame.")
    response = HttpResponse(content, content_type="image/webp")
    response["Cache-Control"] = "private, no-store"
    return response


def _done(request: HttpRequest, person: User, item_id: int, change) -> HttpResponse:
    try:
        change()
    except ApiError as error:
        return _page(request, person, item_id, error)
    return redirect("safety_review_item", item_id)


def _page(
    request: HttpRequest,
    person: User,
    item_id: int,
    error: ApiError | None = None,
    given: dict | None = None,
) -> HttpResponse:
    if error is not None and error.code == "not_found":
        raise error
    found = review.find(item_id, person)
    order = list(review.queue(person).values_list("pk", flat=True)[:200])
    place = order.index(found.pk) if found.pk in order else -1
    claims = ReviewClaim.objects.filter(review.LIVE, item=found).select_related("person").first()
    mine = claims if claims is not None and claims.person_id == person.pk else None
    decisions = list(found.decisions.select_related("person").order_by("pk"))
    waits = found.state in ReviewItem.WAITING
    page = {
        "item": found,
        "job": _job(found),
        "policy": ReviewPolicy.objects.get(pk=found.review_class),
        "place": place + 1,
        "count": len(order),
        "previous": order[place - 1] if place > 0 else None,
        "next": order[place + 1] if 0 <= place < len(order) - 1 else None,
        "claim": claims,
        "mine": mine,
        # A second opinion is given without knowing the first.
        "decisions": [] if waits and found.state != ReviewItem.State.ESCALATED else decisions,
        "hidden": len(decisions) if found.state == ReviewItem.State.OPEN else 0,
        "decided": any(one.person_id == person.pk for one in decisions),
        "reports": UserReport.objects.filter(item=found).order_by("at")[:20],
        "evidence": _evidence(found),
        "seen": review.exposed(person),
        "clear": mine is not None and review.may_see_clear(found, person),
        "reasons": REASONS,
        "waits": waits,
        "error": error,
        "given": given or {},
    }
    return render(request, "console/safety/review_item.html", page, status=error.status if error else 200)


def _job(found: ReviewItem) -> Job | None:
    return Job.objects.select_related("organization", "model").filter(pk=found.subject).first()


def _evidence(found: ReviewItem) -> list[Verdict]:
    """What kept it back, the surest first."""
    if found.scan_id is None:
        return []
    rows = Verdict.objects.filter(scan=found.scan_id).exclude(outcome__in=("pass", "unusable"))
    return list(rows.order_by("-score", "frame_index")[:EVIDENCE_SHOWN])
