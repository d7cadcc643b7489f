"""Server-sent events: how one is written, and the response that carries them."""

import json
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

from accounts.errors import ApiError

HEARTBEAT = b": still here\n\n"
DONE = b"data: [DONE]\n\n"
DIGITS_OF_TOKENS, DIGITS_OF_EVENTS = 9, 18  # of the numbers that streams count with
MOST_SEQ = 10**DIGITS_OF_TOKENS - 1


def event(data: dict[str, Any], number: int | None = None, name: str | None = None) -> bytes:
    """One event; `number` is what a client sends back as Last-Event-ID, `name` the event's type where it has one."""
    lines = [f"id: {number}"] if number is not None else []
    if name is not None:
        lines.append(f"event: {name}")
    lines.append(f"data: {json.dumps(data, ensure_ascii=False)}")
    return ("\n".join(lines) + "\n\n").encode()


@dataclass(slots=True)
class Handover:
    """Where events are left for the door (console/edge.py), which sends them once the view's answer is through.

    So nothing of the request, its session, its person or the middleware is kept for as long as a stream is open.
    """

    events: AsyncIterator[bytes] | None = None


handover: ContextVar[Handover | None] = ContextVar("handover", default=None)


def respond(events: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """The stream, marked so that no cache and no proxy holds it back; without a door the response carries it."""
    place = handover.get()
    if place is not None:
        place.events, events = events, _nothing()
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(events, content_type="text/event-stream", headers=headers)


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in ():
        yield chunk


def last_event_id(request: HttpRequest, digits: int = DIGITS_OF_TOKENS) -> int:
    """The number behind which a client wants to go on, of so many digits at most; 0 where it starts afresh."""
    header = request.headers.get("Last-Event-ID", "").strip()
    if not header:
        return 0
    if not header.isascii() or not header.isdigit() or len(header) > digits:
        raise ApiError(
            "invalid_value", "Last-Event-ID has to be the id of an event of this stream.", "Last-Event-ID"
        )
    return int(header)
