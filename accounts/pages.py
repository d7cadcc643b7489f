"""Pages of an organization: its API keys, its members, and the switch between organizations."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import keys
from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller, choose_organization
from accounts.models import ApiKey, Membership

SCOPE_WORDS = {
    "read": "Read jobs, clips, usage and balance",
    "generate": "Make clips and code, which spends credit",
    "billing": "Read statements and buy credit",
    "admin": "Manage keys and members",
}
USUAL_SCOPES = ("read", "generate")


@require_http_methods(["GET", "POST"])
@never_cache
@member("admin")
def api_keys(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The organization's keys; a POST makes one and shows it this once, in the answer itself."""
    shown: dict = {"name": "", "chosen": USUAL_SCOPES}
    status = 200
    if request.method == "POST":
        name, chosen = request.POST.get("name", ""), tuple(request.POST.getlist("scopes"))
        try:
            key, raw = keys.create(caller.organization, name, chosen, by=caller.user)
            shown |= {"made": key, "raw": raw}
        except ApiError as error:
            shown |= {"error": error, "name": name, "chosen": chosen}
            status = error.status
    found = caller.organization.api_keys.select_related("created_by").order_by("revoked_at", "-created_at")
    scopes = [(scope, words, scope in shown["chosen"]) for scope, words in SCOPE_WORDS.items()]
    return render(request, "accounts/keys.html", {**shown, "keys": found, "scopes": scopes}, status=status)


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


@member("read")
def members(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Who belongs to the organization, and what each may do."""
    found = Membership.objects.filter(organization=caller.organization).select_related("user")
    return render(request, "accounts/members.html", {"members": found.order_by("created_at", "id")})


@require_POST
@member("read")
def switch(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Act for another organization of this person from now on."""
    chosen = choose_organization(request, request.POST.get("organization", ""))
    messages.info(request, f"You now act for {chosen.organization.name}.")
    return redirect("studio")
