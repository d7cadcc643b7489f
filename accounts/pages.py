"""Pages of an organization: its API keys, and the switch between organizations."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import keys
from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller, choose_organization
from accounts.models import ApiKey

SCOPE_WORDS = {
    "read": "Read jobs, clips, usage and balance",
    "generate": "Make clips and code, which spends credit",
    "billing": "Read statements and buy credit",
    "admin": "Manage keys, members and webhooks",
}
USUAL_SCOPES = ("read", "generate")
ROTATIONS = (
    (24, "1 day"),
    (1, "1 hour"),
    (168, "1 week"),
    (0, "not at all"),
)  # how long the old secret lives on


@require_http_methods(["GET", "POST"])
@never_cache
@member("admin")
def api_keys(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The organization's keys; a POST makes one and shows it this once, in the answer itself."""
    shown: dict = {"name": "", "chosen": USUAL_SCOPES}
    if request.method == "POST":
        name, chosen = request.POST.get("name", ""), tuple(request.POST.getlist("scopes"))
        try:
            key, raw = keys.create(caller.organization, name, chosen, by=caller.user)
            shown |= {"made": key, "raw": raw}
        except ApiError as error:
            shown |= {"error": error, "name": name, "chosen": chosen}
    return _page(request, caller, shown)


@require_POST
@never_cache
@member("admin")
def rotate_key(request: HttpRequest, caller: Caller, key_id: int) -> HttpResponse:
    """A new secret, shown this once; the old one goes on for the hours that were chosen."""
    key = get_object_or_404(ApiKey, pk=key_id, organization=caller.organization)
    hours = request.POST.get("hours", "")
    shown: dict = {"name": "", "chosen": USUAL_SCOPES}
    try:
        if not hours.isascii() or not hours.isdigit() or len(hours) > 4:
            raise ApiError("invalid_value", "Give the hours as a whole number.", param="hours")
        made, raw = keys.rotate(key, by=caller.user, hours=int(hours))
        shown |= {"made": made, "raw": raw, "old_hours": int(hours)}
    except ApiError as error:
        shown |= {"error": error}
    return _page(request, caller, shown)


@require_POST
@member("admin")
def revoke_key(request: HttpRequest, caller: Caller, key_id: int) -> HttpResponse:
    """End a key at once; a key of another organization is simply not found."""
    key = get_object_or_404(ApiKey, pk=key_id, organization=caller.organization)
    if keys.revoke(key, by=caller.user, reason="revoked on the keys page"):
        messages.success(request, f"The key {key.name} is revoked. Requests with it are refused from now on.")
    else:
        messages.info(request, f"The key {key.name} had been revoked before.")
    return redirect("keys")


@require_POST
@member("read")
def switch(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Act for another organization of this person from now on."""
    chosen = choose_organization(request, request.POST.get("organization", ""))
    messages.info(request, f"You now act for {chosen.organization.name}.")
    return redirect("studio")


def _page(request: HttpRequest, caller: Caller, shown: dict) -> HttpResponse:
    found = caller.organization.api_keys.select_related("created_by", "replaced_by")
    found = list(found.order_by("revoked_at", "-created_at"))
    for key in found:
        key.live = keys.is_live(key)
        key.rotated = hasattr(key, "replaced_by")
    scopes = [(scope, words, scope in shown["chosen"]) for scope, words in SCOPE_WORDS.items()]
    page = {**shown, "keys": found, "scopes": scopes, "rotations": ROTATIONS}
    status = shown["error"].status if "error" in shown else 200
    return render(request, "accounts/keys.html", page, status=status)
