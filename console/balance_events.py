"""The balance in the strip above every page, and the number of new notices, as soon as either changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.identity import session_caller
from billing import balance_watch, notice_board
from generation.pages import live

LOOK_AGAIN_S = 15.0  # an allowance renews and a promotion runs out without a movement
LASTS_S = 600.0  # then the browser comes again, and its session is looked at again


async def events(request: HttpRequest) -> HttpResponseBase:
    """Events `balance` (a text) and `notices` (a number), the first ones at once."""
    caller = await live.in_thread(session_caller, request)
    if caller is None:
        return HttpResponse(status=403)
    return live.response(_changes(caller.organization.pk))


async def _changes(organization_id: int) -> AsyncIterator[str]:
    known: dict[str, str] = {}
    loop = asyncio.get_running_loop()
    over = loop.time() + LASTS_S
    async with balance_watch.here().changes(organization_id) as stirred:
        while loop.time() < over:
            stirred.clear()
            for name, text in (await live.in_thread(_parts, organization_id)).items():
                if known.get(name) != text:
                    known[name] = text
                    yield live.event(name, text)
            yield ": alive\n\n"
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await stirred.wait()


def _parts(organization_id: int) -> dict[str, str]:
    return live.balance_part(organization_id) | {"notices": str(notice_board.unread(organization_id))}
