"""ASGI, around everything: what a request may carry, how long it may take to arrive, and how long an answer may stall.

Django reads a whole body before the first middleware runs, so the limits have to stand in front of it. The head of a
request is bounded even earlier, in `console/slow_clients.py`.

Server-sent events are handed out here, behind Django: what it keeps for a request goes when its answer is through,
which is half of what an open stream would cost, and each event passes through less.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

from accounts.errors import ApiError
from console.requests import is_api, limit_of, new_request_id, too_large
from generation.api import sse

logger = logging.getLogger("backlot.requests")

# A body has so long to arrive, and longer the more it has to carry: what a line of 160 kbit/s takes.
BODY_S, BODY_BYTES_PER_S = 20.0, 20_000
# A client that takes nothing of its answer for so long is gone, or means harm.
STALL_S = 60.0
# How much of a body that is too large is swallowed, and for how long, so that its sender gets to read the answer.
DRAIN_BYTES = 32_000_000
DRAIN_SECONDS = 2.0


class _TooLarge(Exception):
    """The body grew past the limit while it was being read."""


class _TooSlow(Exception):
    """The body did not arrive in its time."""


class _Stalled(Exception):
    """The client took nothing of the answer for too long."""


class Edge:
    """Refuses a body that is over what its path may carry, before it is read, or one that does not arrive.

    By the Content-Length where there is one, by counting where the body comes in chunks.
    """

    def __init__(self, app, limit: int | None = None, body_s: float = BODY_S, stall_s: float = STALL_S):
        self.app = app
        self.limit, self.body_s, self.stall_s = limit, body_s, stall_s

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        limit = self.limit or limit_of(scope["path"], kind)
        if self._declared(scope) > limit:
            await self._refuse(scope, receive, send, too_large(limit))
            return
        place = sse.Handover()
        sse.handover.set(place)
        patient = self._patient(send)
        try:
            await self.app(scope, self._counted(scope, receive, limit), _opened(place, patient))
            if place.events is not None:
                scope["headers"].clear()  # nobody asks for them any more
                await _hand_out(place.events, receive, patient)
        except _TooLarge:
            await self._refuse(scope, receive, send, too_large(limit))
        except _TooSlow:
            message = "The body did not arrive in time. Nothing was queued or charged."
            await self._refuse(scope, None, send, ApiError("request_timeout", message))
        except _Stalled:
            # The server closes a connection whose answer was not completed.
            logger.info("a client took nothing of %s for %s s", scope["path"], self.stall_s)

    @staticmethod
    def _declared(scope) -> int:
        """The Content-Length, or 0 where there is none or it is no number (the server has refused that already)."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        return int(length) if length.isdigit() else 0

    def _counted(self, scope, receive, limit: int):
        """`receive` within the limits; once the body is there it waits for the client to leave, as long as it takes."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.body_s + self._declared(scope) / BODY_BYTES_PER_S
        received, whole = 0, False

        async def counted():
            nonlocal received, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(due):
                    message = await receive()
            except TimeoutError as error:
                raise _TooSlow from error
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > limit:
                raise _TooLarge
            return message

        return counted

    def _patient(self, send):
        async def patient(message):
            try:
                async with asyncio.timeout(self.stall_s):
                    await send(message)
            except TimeoutError as error:
                raise _Stalled from error

        return patient

    async def _refuse(self, scope, receive, send, error: ApiError) -> None:
        request_id = new_request_id()
        if is_api(scope["path"]):
            content, kind = json.dumps(error.body(request_id)).encode(), b"application/json"
        else:
            content, kind = error.message.encode(), b"text/plain; charset=utf-8"
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": True})
        if receive is not None:
            await self._drain(receive)
        await send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _drain(receive) -> None:
        """Most clients read the answer only after they have written everything: let them, within bounds."""
        swallowed = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while swallowed < DRAIN_BYTES:
                    message = await receive()
                    swallowed += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return


def _opened(place: sse.Handover, send):
    """`send` for the application: where events are left, the end of its answer is not the answer's end.

    An answer that is no success after all has no events: something behind the view refused it.
    """

    async def opened(message):
        if message["type"] == "http.response.start" and message["status"] != 200 and place.events is not None:
            refused, place.events = place.events, None
            await refused.aclose()
        if message["type"] != "http.response.body" or place.events is None:
            await send(message)

    return opened


async def _hand_out(events: AsyncIterator[bytes], receive, send) -> None:
    """The events as they come. Where the client leaves, whoever makes them is told by a cancellation."""
    writing, left = asyncio.current_task(), False

    async def leave() -> None:
        nonlocal left
        await receive()  # nothing else can come than word that the client has gone
        left = True
        writing.cancel()

    leaving = asyncio.create_task(leave())
    try:
        async with contextlib.aclosing(events):
            async for chunk in events:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except asyncio.CancelledError:
        if not left:
            raise
        writing.uncancel()
    finally:
        leaving.cancel()
