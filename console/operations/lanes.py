"""Lanes: the table, the live queue wait, and weights that change with a reason and can be undone."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, second_factor
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, Tier, User
from generation import lane_board, queue_waits
from generation.lane_actions import ChangeLaneWeight
from generation.models import LaneOverride, Pool
from generation.pages import live

CHANGES_SHOWN = 12
NAMES = (ChangeLaneWeight.name, f"{ChangeLaneWeight.name}.undo")
EXPIRIES = (
    ("", "Until it is undone"),
    ("15", "15 minutes"),
    ("60", "1 hour"),
    ("240", "4 hours"),
    ("1440", "1 day"),
)
P50_TARGET_S = 15
WAITS_EVERY = timedelta(seconds=5)


@require_GET
@staff(StaffRole.Role.OPERATOR)
def lanes(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?edit=<lane>` opens the panel that changes a weight."""
    return _page(request, {"edit": request.GET.get("edit", "")})


@require_GET
@staff(StaffRole.Role.OPERATOR)
def preview(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """What a new weight would do, in a sentence, before anything is applied."""
    shown = {}
    try:
        shown["preview"] = _action(slug, request.GET.get("weight", "")).preview()
    except ApiError as error:
        shown["error"] = error
    return render(request, "console/parts/lane_preview.html", shown)


@require_POST
@staff(StaffRole.Role.OPERATOR)
def change(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """Apply a new weight."""
    given = {name: request.POST.get(name, "") for name in ("weight", "reason", "expires")}
    try:
        entry = actions.perform(
            _action(slug, given["weight"]), person, given["reason"], _expiry(given["expires"])
        )
    except ApiError as error:
        return _page(request, {"edit": slug, "error": error, "given": given}, status=error.status)
    before, after = entry.before["weight"], entry.after["weight"]
    messages.success(request, f"{slug} went from weight {before:g} to {after:g}, from the next claim on.")
    return redirect("operate_lanes")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=ChangeLaneWeight.name)
    slug = entry.target.partition(":")[2]
    try:
        undone = actions.revert(ChangeLaneWeight(slug), entry, person, request.POST.get("reason", ""))
        messages.success(request, f"{slug} is back at weight {undone.after['weight']:g}.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("operate_lanes")


async def events(request: HttpRequest) -> HttpResponseBase:
    """The table every second it changes, the waits every few seconds."""
    roles = await live.in_thread(lambda: second_factor.usable_roles(request))
    allowed = StaffRole.Role.OPERATOR in roles
    return live.response(_board_events()) if allowed else HttpResponse(status=403)


async def _board_events() -> AsyncIterator[str]:
    waits: dict = {"at": None}

    def look() -> tuple[dict[str, str], bool]:
        now = timezone.now()
        if waits["at"] is None or now - waits["at"] >= WAITS_EVERY:
            waits.update(at=now, html=render_to_string("console/parts/waits.html", _waits(now)))
        table = render_to_string("console/parts/lane_table.html", {"boards": lane_board.board(now)})
        return {"lanes": table, "waits": waits["html"]}, False

    async for one in live.changed_parts([], look):
        yield one


def _page(request: HttpRequest, shown: dict, status: int = 200) -> HttpResponse:
    now = timezone.now()
    boards = lane_board.board(now)
    rows = {row.lane.slug: row for board in boards for row in board.rows}
    page = {
        **shown,
        "boards": boards,
        "editing": rows.get(shown["edit"]),
        "expiries": EXPIRIES,
        "changes": _changes(now),
        **_waits(now),
    }
    return render(request, "console/operate_lanes.html", page, status=status)


def _action(slug: str, weight: str) -> ChangeLaneWeight:
    try:
        return ChangeLaneWeight(slug, float(weight))
    except ValueError:
        raise ApiError("invalid_value", "Give the weight as a number.", param="weight") from None


def _expiry(minutes: str) -> datetime | None:
    if not minutes:
        return None
    if minutes not in dict(EXPIRIES):
        raise ApiError("invalid_value", "Choose one of the listed times.", param="expires")
    return timezone.now() + timedelta(minutes=int(minutes))


def _changes(now: datetime) -> list[dict]:
    """The newest changes of weights, with whether each can still be undone; two queries."""
    entries = list(AuditEntry.objects.filter(action__in=NAMES).order_by("-at", "-id")[:CHANGES_SHOWN])
    made = [entry.undo["override"] for entry in entries if entry.undo]
    overrides = LaneOverride.objects.filter(pk__in=made, removed_at=None)
    standing = {o.pk for o in overrides if o.expires_at is None or o.expires_at > now}
    return [
        {
            "entry": entry,
            "lane": entry.target.partition(":")[2],
            "undoes": entry.action == NAMES[1],
            "stands": bool(entry.undo) and entry.undo["override"] in standing,
        }
        for entry in entries
    ]


def _waits(now: datetime) -> dict:
    """The chart's series as JSON and the same as rows: per pool and tier, at each minute of the last hour."""
    names = {tier.slug: tier.name for tier in Tier.objects.all()}
    order = list(names)
    series, rows = [], []
    for pool in Pool.objects.order_by("slug"):
        found = queue_waits.per_tier(pool.slug, now)
        for tier, waits in sorted(found.items(), key=lambda item: order.index(item[0])):
            points = [{**asdict(wait), "at": wait.at.isoformat()} for wait in waits]
            series.append({"pool": pool.slug, "tier": tier, "name": names[tier], "points": points})
            rows.append({"pool": pool.slug, "tier": tier, "name": names[tier], "waits": waits[-15:]})
    return {
        "chart": {
            "target_s": P50_TARGET_S,
            "ticks": [moment.isoformat() for moment in queue_waits.ticks(now)],
            "series": series,
        },
        "wait_rows": rows,
    }
