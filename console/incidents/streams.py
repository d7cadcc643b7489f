"""Pages of incidents that move: parts that changed, as server-sent events, looked at every few seconds."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone

from accounts import second_factor
from console.incidents import board, shown, timeline
from console.incidents.people import ROLES
from generation.pages import live

EVERY = timedelta(seconds=3)
PARTS = "operate/incidents/parts"
MOVING = ("standing", "cost", "timeline", "fires")


async def board_events(request: HttpRequest) -> HttpResponseBase:
    """The open incidents, in their order."""

    def parts(now: datetime) -> dict[str, str]:
        return {
            "incidents": render_to_string(f"{PARTS}/open.html", {"board": board.open_now(shown.minute(now))})
        }

    return await _answer(request, parts)


async def incident_events(request: HttpRequest, incident_id: int) -> HttpResponseBase:
    """State, cost, whom it met, whether its alarm still fires, and the timeline of one."""

    def parts(now: datetime) -> dict[str, str]:
        row = shown.row_of(incident_id, now)
        moments = timeline.of(row.incident, now)
        page = {
            "row": row,
            "incident": row.incident,
            "moments": moments,
            "operator": "operator" in roles,
            "alarm": row.incident.alarm_id,
            "fires": shown.firing(row.incident),
        }
        return {name: render_to_string(f"{PARTS}/{name}.html", page) for name in MOVING}

    roles = await live.in_thread(lambda: second_factor.usable_roles(request))
    return await _answer(request, parts)


async def _answer(request: HttpRequest, parts: Callable[[datetime], dict[str, str]]) -> HttpResponseBase:
    roles = await live.in_thread(lambda: second_factor.usable_roles(request))
    return live.response(_events(parts)) if set(ROLES) & set(roles) else HttpResponse(status=403)


async def _events(parts: Callable[[datetime], dict[str, str]]) -> AsyncIterator[str]:
    last: dict = {"at": None, "parts": {}}

    def look() -> tuple[dict[str, str], bool]:
        now = timezone.now()
        if last["at"] is None or now - last["at"] >= EVERY:
            last.update(at=now, parts=parts(now))
        return last["parts"], False

    async for one in live.changed_parts([], look):
        yield one
