"""Who may open a page: a member with a scope in the chosen organization, or staff with a role.

The view gets the caller (or the person) after the request. What may not be opened is refused as an
`ApiError`, which becomes a plain page; somebody who is not signed in is sent to sign in first and comes
back. Staff who have not shown a second factor in this session are sent to do that first.
"""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse

from accounts import second_factor
from accounts.errors import ApiError
from accounts.identity import session_caller

View = Callable[..., HttpResponse]

NO_ORGANIZATION = (
    "You belong to no organization yet. Ask an owner to add you; your staff rooms are in the menu."
)


def member(scope: str = "read") -> Callable[[View], View]:
    """`view(request, caller, …)` for a member whose role includes the scope."""

    def door(view: View) -> View:
        @wraps(view)
        def opened(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            caller = session_caller(request)
            if caller is None:
                raise ApiError("insufficient_scope", NO_ORGANIZATION)
            caller.require(scope)
            return view(request, caller, *args, **kwargs)

        return opened

    return door


def staff(*roles: str) -> Callable[[View], View]:
    """`view(request, person, …)` for staff who hold one of the roles and have shown a second factor."""

    def door(view: View) -> View:
        @wraps(view)
        def opened(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not request.user.staff_roles.intersection(roles):
                raise ApiError("insufficient_scope", "This room is for staff with another role than yours.")
            elsewhere = second_factor.way_in(request)
            return view(request, request.user, *args, **kwargs) if elsewhere is None else elsewhere

        return opened

    return door
