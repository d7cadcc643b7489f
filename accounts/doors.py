"""Who may open a page: a member with a scope in the chosen organization, or staff with a role.

The view gets the caller (or the person) after the request. What may not be opened is refused as an
`ApiError`, which becomes a plain page; somebody who is not signed in is sent to sign in first and comes
back.
"""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse

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


def staff(role: str) -> Callable[[View], View]:
    """`view(request, person, …)` for staff who hold the role."""

    def door(view: View) -> View:
        @wraps(view)
        def opened(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if role not in request.user.staff_roles:
                raise ApiError("insufficient_scope", "This room is for staff with another role than yours.")
            return view(request, request.user, *args, **kwargs)

        return opened

    return door
