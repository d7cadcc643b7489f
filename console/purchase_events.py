"""The credits page while a payment is under way: its rows, the balances and the strip, as soon as one changes."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.identity import Caller, session_caller
from billing.payments.pages import live_parts
from generation.pages import live

MOST_FOLLOWED = 20


async def events(request: HttpRequest) -> HttpResponseBase:
    """Until the payments named by `payment` (ids, as often as given) have ended."""
    caller = await live.in_thread(session_caller, request)
    if caller is None or "billing" not in caller.scopes:
        return HttpResponse(status=403)
    return live.response(live.changed_parts([], lambda: _look(caller, _named(request))))


def _look(caller: Caller, payments: list[UUID]) -> tuple[dict[str, str], bool]:
    parts, over = live_parts(caller.organization, payments)
    return parts | live.balance_part(caller.organization.pk), over


def _named(request: HttpRequest) -> list[UUID]:
    named = []
    for value in request.GET.getlist("payment")[:MOST_FOLLOWED]:
        try:
            named.append(UUID(value))
        except ValueError:
            continue
    return named
