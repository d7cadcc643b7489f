"""Pull into review: delivered clips of a window or pattern, counted first, withheld at once, with a way back."""

from datetime import UTC, datetime, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, Organization, StaffRole, User
from generation.afterwards import pulls
from generation.afterwards.pulls import PullIntoReview, Window
from generation.models import RegisteredModel, ReviewPull
from safety.models import PromptCategory, ReviewClass

ROLE = StaffRole.Role.TRUST_SAFETY
ASKED = ("since", "until", "pattern", "category", "organization", "model", "class")
SHOWN = 20
FORM = "%Y-%m-%dT%H:%M"


@require_GET
@staff(ROLE)
def pull(request: HttpRequest, person: User) -> HttpResponse:
    """The page; with a window in the address it says how many clips that would be."""
    return _page(request, request.GET)


@require_POST
@staff(ROLE)
def apply(request: HttpRequest, person: User) -> HttpResponse:
    """Pull what the window holds."""
    try:
        entry = actions.perform(_action(request.POST), person, request.POST.get("reason", ""))
    except ApiError as error:
        return _page(request, request.POST, error)
    more = "" if entry.after["state"] == "done" else " The rest follows within seconds."
    messages.success(request, f"{entry.after['pulled']} clips are in review.{more}")
    return redirect("safety_pull")


@require_POST
@staff(ROLE)
def undo(request: HttpRequest, person: User, pull_id: int) -> HttpResponse:
    """Return what nobody has looked at."""
    row = get_object_or_404(ReviewPull, pk=pull_id)
    entry = get_object_or_404(AuditEntry, action=PullIntoReview.name, target=f"pull:{pull_id}")
    try:
        undone = actions.revert(pulls.action_of(row), entry, person, request.POST.get("reason", ""))
        messages.success(
            request, f"{undone.after['returned']} clips nobody had looked at are delivered again."
        )
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("safety_pull")


def _page(request: HttpRequest, asked, error: ApiError | None = None) -> HttpResponse:
    now = timezone.now()
    given = {name: asked.get(name, "") for name in (*ASKED, "reason")}
    given["withhold"] = asked.get("withhold", "1")
    preview = None
    if given["since"] and error is None:
        try:
            preview = _action(asked).preview()
        except ApiError as refusal:
            error = refusal
    given["since"] = given["since"] or (now - timedelta(hours=2)).astimezone(UTC).strftime(FORM)
    given["until"] = given["until"] or now.astimezone(UTC).strftime(FORM)
    page = {
        "given": given,
        "preview": preview,
        "error": error,
        "categories": PromptCategory.objects.order_by("label").values_list("slug", "label"),
        "classes": ReviewClass.choices,
        "models": RegisteredModel.objects.filter(kind="clip").order_by("name", "revision"),
        "pulls": ReviewPull.objects.select_related("organization", "model").order_by("-pk")[:SHOWN],
    }
    return render(request, "console/safety/review_pull.html", page, status=error.status if error else 200)


def _action(asked) -> PullIntoReview:
    organization = _organization(asked.get("organization", "").strip())
    number = asked.get("model", "")
    model = RegisteredModel.objects.filter(pk=number).first() if number.isdecimal() else None
    window = Window(
        _moment(asked.get("since", ""), "since"),
        _moment(asked.get("until", ""), "until"),
        asked.get("pattern", "").strip(),
        asked.get("category", ""),
        organization,
        model,
    )
    return PullIntoReview(window, asked.get("class", "other"), asked.get("withhold", "1") == "1")


def _organization(slug: str) -> Organization | None:
    if not slug:
        return None
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        raise ApiError("invalid_value", f"There is no organization {slug!r:.60}.", param="organization")
    return found


def _moment(text: str, param: str) -> datetime:
    try:
        return datetime.strptime(text, FORM).replace(tzinfo=UTC)
    except ValueError:
        message = "Give the time as 2026-11-22T14:00, in UTC."
        raise ApiError("invalid_value", message, param=param) from None
