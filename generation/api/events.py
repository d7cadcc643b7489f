"""/api/events: every change of the organization's jobs as one stream of server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from accounts import keys
from accounts.identity import Caller
from generation import job_changes
from generation.api import shapes, sse
from generation.job_changes import Change, Horizon
from generation.pooling import give_back

router = Router(tags=["events"])

LOOK_S, HEARTBEAT_S = 1.0, 10.0
LONGEST_S = 3_600
Seconds = Annotated[
    int,
    Query(
        600, ge=1, le=LONGEST_S, description="After so many seconds it ends; come back with Last-Event-ID."
    ),
]


@router.get("/events", summary="Follow all jobs")
async def follow(request: HttpRequest, seconds: Seconds = 600) -> HttpResponse:
    """Server-sent events `job`, one for each change of a job's state, in an order that never changes.

    It begins behind `Last-Event-ID`, or now. No change is left out and none told twice, whatever was cut off; one may
    be told late, by as long as the longest transaction that was open when it was made.
    """
    after = sse.last_event_id(request, sse.DIGITS_OF_EVENTS) or None
    return sse.respond(_changes(request.caller, after, seconds))


async def _changes(caller: Caller, after: int | None, seconds: float) -> AsyncIterator[bytes]:
    loop, horizon, told = asyncio.get_running_loop(), Horizon(), None
    quiet_since, over = loop.time(), loop.time() + seconds
    yield sse.HEARTBEAT
    while loop.time() < over:
        changes, after = await _look(caller.organization.pk, after, horizon)
        for change in changes:
            yield sse.event(document(change), change.number, "job")
        if told is None and after is not None and not changes:
            yield f"id: {after}\n\n".encode()  # an EventSource comes back behind it, though nothing has happened yet
        told = after
        if changes:
            quiet_since = loop.time()
        elif loop.time() - quiet_since >= HEARTBEAT_S:
            if not await _may_go_on(caller):
                return
            quiet_since = loop.time()
            yield sse.HEARTBEAT
        if len(changes) < job_changes.AT_ONCE:
            await asyncio.sleep(min(LOOK_S, max(0.0, over - loop.time())))


def document(change: Change) -> dict:
    """The public form of a change."""
    return {
        "object": "job.event",
        **{name: value for name, value in asdict(change).items() if name not in ("number", "at")},
        "id": change.number,
        "at": change.at.isoformat(),
        "status": shapes.STATUS[change.to_state],
    }


@sync_to_async
def _look(organization_id: int, after: int | None, horizon: Horizon) -> tuple[list[Change], int | None]:
    try:
        return job_changes.look(organization_id, after, horizon)
    finally:
        give_back()


@sync_to_async
def _may_go_on(caller: Caller) -> bool:
    """A revoked key hears no more; of a session, the end of the stream is soon enough."""
    if caller.api_key is None:
        return True
    try:
        caller.api_key.refresh_from_db(fields=["revoked_at", "expires_at"])
        return keys.is_live(caller.api_key)
    finally:
        give_back()
