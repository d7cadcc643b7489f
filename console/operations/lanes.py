"""Lanes: the table, the live queue wait, the panel that changes a lane, and the newest changes."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts import second_factor
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, Tier, User
from console.operations import lane_looks
from console.operations.expiries import EXPIRIES
from generation.models import LaneOverride, Pool
from generation.pages import live
from generation.scheduling import lane_board, queue_waits
from generation.scheduling.lane_actions import ChangeLaneWeight
from generation.scheduling.lane_board import LaneRow
from generation.scheduling.setting_actions import LANE_SETTINGS, ChangeLaneSetting

CHANGES_SHOWN = 12
MADE = (ChangeLaneWeight.name, ChangeLaneSetting.name)
NAMES = (*MADE, *(f"{name}.undo" for name in MADE))
P50_TARGET_S = 15
WAITS_EVERY = timedelta(seconds=5)


@require_GET
@staff(StaffRole.Role.OPERATOR)
def lanes(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?edit=<lane>&field=<setting>` opens the panel that changes it, with `&value=` it is simulated too."""
    asked = {name: request.GET.get(name, "") for name in ("edit", "field", "value", "reason", "expires")}
    return page(request, person, {"edit": asked["edit"], "field": asked["field"], "given": asked})


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


def page(request: HttpRequest, person: User, shown: dict, status: int = 200) -> HttpResponse:
    """The page with its panel open where `shown` says which lane and what it was given."""
    now = timezone.now()
    boards = lane_board.board(now)
    rows = {row.lane.slug: row for board in boards for row in board.rows}
    editing = rows.get(shown["edit"])
    parts = {
        **shown,
        "boards": boards,
        "editing": editing,
        "expiries": EXPIRIES,
        "changes": _changes(now),
        **_waits(now),
    }
    if editing:
        parts |= _panel(person, editing, shown)
    return render(request, "console/operate_lanes.html", parts, status=status)


def _panel(person: User, editing: LaneRow, shown: dict) -> dict:
    """The panel's parts: which setting, what is in force, and what was asked for, simulated."""
    field = shown["field"] if shown["field"] in LANE_SETTINGS else "weight"
    panel = {
        "field": field,
        "fields": [(name, setting.label) for name, setting in LANE_SETTINGS.items()],
        "setting": LANE_SETTINGS[field],
        "baseline": getattr(editing.lane, field),
        "in_force": getattr(editing.settings, field),
    }
    given = shown["given"]
    if given["value"]:
        try:
            panel["seen"] = lane_looks.look(person, editing.lane.slug, field, given["value"])
        except ApiError as error:
            panel["error"] = shown.get("error") or error
    return panel


def _changes(now: datetime) -> list[dict]:
    """The newest changes of lanes, with whether each can still be undone; two queries."""
    entries = list(AuditEntry.objects.filter(action__in=NAMES).order_by("-at", "-id")[:CHANGES_SHOWN])
    made = [entry.undo["override"] for entry in entries if entry.undo]
    overrides = LaneOverride.objects.filter(pk__in=made, removed_at=None)
    standing = {o.pk for o in overrides if o.expires_at is None or o.expires_at > now}
    return [
        {
            "entry": entry,
            "lane": entry.target.partition(":")[2],
            "undoes": entry.action not in MADE,
            **_said(entry),
            "stands": bool(entry.undo) and entry.undo["override"] in standing,
        }
        for entry in entries
    ]


def _said(entry: AuditEntry) -> dict:
    """Which setting an entry is about, and its values in words."""
    field = next((name for name in LANE_SETTINGS if name in entry.before), "weight")
    setting = LANE_SETTINGS[field]
    before, after = entry.before.get(field), entry.after.get(field)
    return {"label": setting.label.lower(), "before": setting.words(before), "after": setting.words(after)}


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
