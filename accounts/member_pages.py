"""Members of an organization: who they are, inviting, roles, removing, and the page behind an invitation's link."""

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.mail import send_mail
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import member_invitations, memberships
from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import SESSION_CHOICE, Caller
from accounts.models import ApiKey, Membership

UNMAILED = "The mail to {} could not be sent ({}). Send them the link yourself."


@require_GET
@member("read")
def members(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Who belongs to the organization and what each may do; owners invite, change and remove."""
    return _page(request, caller, {})


@require_POST
@never_cache
@member("admin")
def invite(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Mail a link, and show it this once as well: not every installation has a mail server."""
    given = {"email": request.POST.get("email", ""), "role": request.POST.get("role", "")}
    try:
        made, token = member_invitations.invite(
            caller.organization, given["email"], given["role"], caller.user
        )
    except ApiError as error:
        return _page(request, caller, {"given": given, "error": error}, error.status)
    link = request.build_absolute_uri(reverse("join", args=[token]))
    return _page(request, caller, {"invited": made, "link": link, "unmailed": _mail(made, link)})


@require_POST
@member("admin")
def revoke_invitation(request: HttpRequest, caller: Caller, invitation_id: int) -> HttpResponse:
    """Withdraw an invitation that waits."""
    try:
        gone = member_invitations.revoke(caller.organization, invitation_id, caller.user)
        messages.success(request, f"The link of {gone.email} no longer works.")
    except ApiError as error:
        _tell(request, error)
    return redirect("members")


@require_POST
@member("admin")
def change_role(request: HttpRequest, caller: Caller, member_id: int) -> HttpResponse:
    """Another role, from the member's next request on."""
    try:
        changed = memberships.change_role(
            caller.organization, member_id, request.POST.get("role", ""), caller.user
        )
        messages.success(request, f"{changed.user.email}: {changed.get_role_display().lower()} now.")
    except ApiError as error:
        _tell(request, error)
    return redirect("members")


@require_POST
@member("admin")
def remove(request: HttpRequest, caller: Caller, member_id: int) -> HttpResponse:
    """End a membership, and the keys the person made unless they are kept."""
    try:
        ended = memberships.remove(
            caller.organization, member_id, caller.user, keep_keys=request.POST.get("keep_keys") == "1"
        )
        keys = f" {ended} key{'s' if ended != 1 else ''} ended with it." if ended else ""
        messages.success(request, f"The member is removed.{keys}")
    except ApiError as error:
        _tell(request, error)
    return redirect("members")


@require_http_methods(["GET", "POST"])
@never_cache
def join(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind an invitation's link: join with one press, or sign in or up first."""
    invitation = member_invitations.find(token)
    if invitation is None:
        return render(request, "accounts/join.html", {"ended": member_invitations.ENDED}, status=404)
    request.session[member_invitations.SESSION_TOKEN] = token  # read by the sign-up page
    if request.method == "POST":
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        membership = member_invitations.accept_of_session(request, request.user)
        request.session[SESSION_CHOICE] = membership.organization_id
        messages.success(request, f"You belong to {membership.organization.name} now.")
        return redirect("studio")
    return render(request, "accounts/join.html", {"invitation": invitation, "here": request.get_full_path()})


def _tell(request: HttpRequest, error: ApiError) -> None:
    """Say on the page what could not be done; what is not this organization's is simply not found."""
    if error.code == "not_found":
        raise error
    messages.error(request, error.message)


def _mail(made, link: str) -> str:
    """Send the link; what went wrong in words where it did. The invitation stands either way."""
    words = {"invitation": made, "link": link}
    subject = f"{made.invited_by.get_short_name()} invites you to {made.organization.name} on Backlot"
    try:
        send_mail(subject, render_to_string("accounts/invitation_mail.txt", words), None, [made.email])
    except OSError as failure:  # smtplib's errors and those of the socket
        return UNMAILED.format(made.email, failure)
    return ""


def _page(request: HttpRequest, caller: Caller, shown: dict, status: int = 200) -> HttpResponse:
    found = list(
        Membership.objects.filter(organization=caller.organization)
        .select_related("user")
        .order_by("created_at", "id")
    )
    may_manage = "admin" in caller.scopes
    page = {
        "members": found,
        "may_manage": may_manage,
        "roles": Membership.Role.choices,
        "given": {},
        **shown,
    }
    if may_manage:
        makers = ApiKey.objects.filter(organization=caller.organization, revoked_at__isnull=True)
        made = list(makers.values_list("created_by", flat=True))
        for one in found:
            one.keys_made = made.count(one.user_id)
        page["waiting"] = member_invitations.waiting(caller.organization, timezone.now())
    return render(request, "accounts/members.html", page, status=status)
