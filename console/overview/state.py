"""The first row of the overview: one sentence that says whether all is well, and why not where it isn't."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from console.alarms.board import STALE_AFTER as ALARMS_STALE_AFTER
from console.alarms.policy.catalog import BY_NAME
from console.alarms.rounds import last_round
from console.incidents import board as incident_board
from console.models import AlarmFiring, RolledMinute
from console.overview import service_levels
from console.overview.asked import iso
from console.overview.service_levels import Row, WaitNow
from console.templatetags.figures import seconds

PLUS, PLUS_WAIT_S = "plus", 60
STALE_AFTER = timedelta(minutes=3)


@dataclass(frozen=True)
class State:
    """`kind` is ok, warning or danger; `sentence` says it; `details` is the rest in short phrases."""

    kind: str
    sentence: str
    details: list[str]
    incidents: incident_board.Board
    firings: list[AlarmFiring]
    levels: list[Row]
    counted_at: datetime | None
    at: datetime
    only: Mapping[str, str]

    @property
    def window_query(self) -> str:
        """The window of the service levels and the filters, as an address holds them."""
        since = service_levels.window_start(self.at)
        return urlencode({"from": iso(since), "to": iso(self.at), **self.only})


def state(only: Mapping[str, str], tiers: Mapping[str, str], now: datetime) -> State:
    """How things stand; a bounded number of queries, each over roll-ups or what is open."""
    rows = service_levels.rows(only, tiers, now)
    waits = service_levels.waits_now(only, now)
    firings = list(AlarmFiring.objects.filter(cleared_at=None).order_by("-level", "opened_at")[:20])
    firings.sort(key=lambda one: -BY_NAME[one.alarm_id].grave if one.alarm_id in BY_NAME else 0)
    incidents = incident_board.open_now(now)
    counted = RolledMinute.objects.order_by("-minute").values_list("at", flat=True).first()
    last = last_round()
    blind = [
        *([] if counted and now - counted <= STALE_AFTER else ["nothing was counted lately"]),
        *([] if last and now - last.at <= ALARMS_STALE_AFTER else ["nobody looks at alarms"]),
    ]
    kind, sentence = _judged(rows, firings, len(incidents.rows), blind)
    return State(kind, sentence, _details(waits, tiers), incidents, firings, rows, counted, now, only)


def _judged(rows: list[Row], firings: list[AlarmFiring], incidents: int, blind: list[str]) -> tuple[str, str]:
    alarms = [BY_NAME[one.alarm_id].title for one in firings if one.alarm_id in BY_NAME]
    burning = [row.level.name for row in rows if row.standing == "danger"]
    slipping = [row.level.name for row in rows if row.standing == "warning"]
    if alarms:
        return "danger", f"Not well: {listed(alarms)} {'fires' if len(alarms) == 1 else 'fire'}."
    if burning:
        return "danger", f"Not well: the budget of {listed(burning)} is running out."
    if blind:
        return "warning", f"Not known: {' and '.join(blind)}."
    if incidents:
        return (
            "warning",
            f"No alarm fires; {incidents} incident{'s are' if incidents > 1 else ' is'} still open.",
        )
    if slipping:
        return "warning", f"Slipping: {listed(slipping)}."
    return "ok", "Within targets."


def _details(waits: list[WaitNow], tiers: Mapping[str, str]) -> list[str]:
    found = []
    for one in waits:
        if one.p95_s is not None:
            of = f" of {PLUS_WAIT_S} s" if one.tier == PLUS else ""
            found.append(f"{tiers.get(one.tier, one.tier)} p95 wait {seconds(one.p95_s)}{of}")
    waiting = sum(one.waiting for one in waits)
    return [*found, f"{waiting:,} waiting" if waiting else "nobody waits"]


def listed(names: list[str]) -> str:
    """Two in full, the rest as a number."""
    names = list(dict.fromkeys(names))
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"
