"""The organization's webhooks, for its owners: the list, one with its deliveries, and one delivery with its tries."""

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from accounts.models import WebhookDelivery, WebhookEndpoint
from accounts.webhooks import endpoints, events
from accounts.webhooks.endpoints import Wanted
from accounts.webhooks.kinds import KINDS
from accounts.webhooks.schedule import MOST_TRIES

ON_A_PAGE = 50
USUAL_TYPES = ("video.completed", "video.failed", "completion.completed", "completion.failed")
OVERLAPS = ((24, "1 day"), (1, "1 hour"), (168, "1 week"), (0, "not at all"))
STATES = WebhookDelivery.State.choices


@require_http_methods(["GET", "POST"])
@never_cache
@member("admin")
def webhooks(request: HttpRequest, caller: Caller) -> HttpResponse:
    """All of them; a POST makes one and shows its secret this once, in the answer itself."""
    given = _given(request) if request.method == "POST" else Wanted("", "", USUAL_TYPES)
    shown: dict = {}
    if request.method == "POST":
        try:
            made, secret = endpoints.create(caller.organization, given, caller.user)
            shown, given = {"made": made, "secret": secret}, Wanted("", "", USUAL_TYPES)
        except ApiError as error:
            shown = {"error": error}
    waiting = Count("deliveries", filter=Q(deliveries__state=WebhookDelivery.State.PENDING))
    page = {
        **shown,
        "webhooks": list(endpoints.of(caller.organization).annotate(waiting=waiting)),
        "most": endpoints.MOST_ENDPOINTS,
        **_form(given),
    }
    return render(request, "accounts/webhooks.html", page, status=_status(shown))


@require_http_methods(["GET", "POST"])
@never_cache
@member("admin")
def webhook(request: HttpRequest, caller: Caller, endpoint_id: int) -> HttpResponse:
    """One with its deliveries, newest first; a POST changes it."""
    shown: dict = {}
    endpoint = endpoints.find(caller.organization, endpoint_id)
    given = Wanted(endpoint.url, endpoint.description, tuple(endpoint.event_types))
    if request.method == "POST":
        given = _given(request)
        try:
            endpoints.change(caller.organization, endpoint_id, given, caller.user)
            messages.success(request, "The webhook is changed, from its next try on.")
            return redirect("webhook", endpoint_id)
        except ApiError as error:
            shown = {"error": error}
    return _page(request, endpoint, given, shown)


@require_POST
@never_cache
@member("admin")
def rotate(request: HttpRequest, caller: Caller, endpoint_id: int) -> HttpResponse:
    """A new secret, shown this once."""
    shown: dict = {}
    try:
        hours = _hours(request.POST.get("hours", ""))
        endpoint, secret = endpoints.rotate(caller.organization, endpoint_id, hours, caller.user)
        shown = {"secret": secret, "old_hours": hours}
    except ApiError as error:
        endpoint, shown = endpoints.find(caller.organization, endpoint_id), {"error": error}
    return _page(
        request, endpoint, Wanted(endpoint.url, endpoint.description, tuple(endpoint.event_types)), shown
    )


@require_POST
@member("admin")
def switch(request: HttpRequest, caller: Caller, endpoint_id: int) -> HttpResponse:
    """On or off."""
    on = request.POST.get("on") == "1"
    endpoints.switch(caller.organization, endpoint_id, on, caller.user)
    messages.success(
        request, "The webhook is on. What has waited for it is sent." if on else "The webhook is off."
    )
    return redirect("webhook", endpoint_id)


@require_POST
@member("admin")
def test(request: HttpRequest, caller: Caller, endpoint_id: int) -> HttpResponse:
    """Send a test event and show its delivery."""
    endpoint = endpoints.find(caller.organization, endpoint_id)
    try:
        delivery = events.test(endpoint, timezone.now())
    except ApiError as error:
        messages.error(request, error.message)
        return redirect("webhook", endpoint_id)
    messages.info(request, "The test event is on its way. Load this page again to see what came of it.")
    return redirect("webhook_delivery", endpoint_id, delivery.pk)


@require_POST
@member("admin")
def remove(request: HttpRequest, caller: Caller, endpoint_id: int) -> HttpResponse:
    """Take it away; what waits for it is never sent."""
    endpoints.remove(caller.organization, endpoint_id, caller.user)
    messages.success(request, "The webhook is removed.")
    return redirect("webhooks")


@require_GET
@never_cache
@member("admin")
def delivery(request: HttpRequest, caller: Caller, endpoint_id: int, delivery_id: int) -> HttpResponse:
    """What was sent, and what came of every try."""
    endpoint = endpoints.find(caller.organization, endpoint_id)
    found = events.find(endpoint, delivery_id)
    page = {
        "webhook": endpoint,
        "delivery": found,
        "tried": list(found.tried.order_by("-number")),
        "most_tries": MOST_TRIES,
    }
    return render(request, "accounts/webhook_delivery.html", page)


@require_POST
@member("admin")
def resend(request: HttpRequest, caller: Caller, endpoint_id: int, delivery_id: int) -> HttpResponse:
    """Once more, under the same id."""
    endpoint = endpoints.find(caller.organization, endpoint_id)
    events.find(endpoint, delivery_id)
    try:
        events.resend(endpoint, delivery_id)
        messages.info(request, "It is being sent again. Load this page again to see what came of it.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("webhook_delivery", endpoint_id, delivery_id)


def _page(request: HttpRequest, endpoint: WebhookEndpoint, given: Wanted, shown: dict) -> HttpResponse:
    state, before = request.GET.get("state", ""), request.GET.get("before", "")
    found = WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event").order_by("-id")
    if state in dict(STATES):
        found = found.filter(state=state)
    if before.isascii() and before.isdigit():
        found = found.filter(pk__lt=int(before))
    rows = list(found[: ON_A_PAGE + 1])
    secrets = endpoint.secrets.exclude(ends_at__lte=timezone.now()).order_by("-created_at", "-id")
    page = {
        **shown,
        "webhook": endpoint,
        "secrets": list(secrets),
        "deliveries": rows[:ON_A_PAGE],
        "older": rows[ON_A_PAGE - 1].pk if len(rows) > ON_A_PAGE else None,
        "paged": bool(before),
        "state": state,
        "states": STATES,
        "overlaps": OVERLAPS,
        **_form(given),
    }
    return render(request, "accounts/webhook.html", page, status=_status(shown))


def _given(request: HttpRequest) -> Wanted:
    named = request.POST
    return Wanted(named.get("url", ""), named.get("description", ""), tuple(named.getlist("event_types")))


def _form(given: Wanted) -> dict:
    kinds = [(kind, words, kind in given.event_types) for kind, words in KINDS.items()]
    return {"given": given, "kinds": kinds}


def _hours(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise ApiError("invalid_value", "Give the hours as a whole number.", param="hours")
    return int(text)


def _status(shown: dict) -> int:
    return shown["error"].status if "error" in shown else 200
