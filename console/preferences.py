"""The landing page, and what a person prefers: the theme and the height of rows, remembered in cookies for a year."""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.identity import session_caller
from console.frame import DENSITIES, THEMES, Frame
from generation.pages import studio

YEAR_S = 365 * 24 * 3600
CHOICES = {"theme": THEMES, "density": DENSITIES}


def landing(request: HttpRequest) -> HttpResponseBase:
    """The studio for members; staff without an organization land in their own first room."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if session_caller(request) is not None:
        return studio.studio(request)
    frame = Frame(request)
    return redirect(frame.home) if frame.rooms else render(request, "console/no_room.html", status=403)


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Keep a choice; anything but a known value (such as `system`) forgets it."""
    target = request.POST.get("next", "/")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    response = redirect(target if safe else "/")
    for name, values in CHOICES.items():
        choice = request.POST.get(name)
        if choice in values:
            response.set_cookie(name, choice, max_age=YEAR_S, samesite="Lax", secure=request.is_secure())
        elif choice is not None:
            response.delete_cookie(name, samesite="Lax")
    return response
