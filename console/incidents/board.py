"""Incidents as people see them: the open ones in order with their cost, the resolved ones, and the times they took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.alarms.policy.catalog import BY_NAME
from console.incidents import people, terms
from console.incidents.policy import course, order, repair_times
from console.incidents.policy.cost import Cost, on_call_micro_dollars, on_call_s
from console.incidents.policy.order import Waiting
from console.incidents.policy.repair_times import Ended, Times
from console.models import Incident
from console.runbooks.books import catalog as runbooks

RESOLVED_SHOWN, TIMED, TIMED_OVER = 50, 2_000, timedelta(days=90)
State = Incident.State


@dataclass(frozen=True)
class Row:
    """An incident with what it costs until `as_of`; `people` are on it, each since their first line."""

    incident: Incident
    cost: Cost
    people: int
    rate: int  # micro-dollars an hour that on-call time adds while it is open
    as_of: datetime

    @property
    def stake(self) -> str:
        return order.STAKES[self.incident.grave]

    @property
    def severity(self) -> str:
        return course.SEVERITIES[self.incident.severity]

    @property
    def open(self) -> bool:
        return self.incident.state != State.RESOLVED

    @property
    def waiting(self) -> Waiting:
        one = self.incident
        mitigated = one.state == State.MITIGATED
        began = one.opened_at.timestamp()
        return Waiting(one.pk, one.title, one.grave, one.severity, mitigated, began, self.cost.total)


@dataclass(frozen=True)
class Board:
    """`words` say which of several open incidents goes first, and why."""

    rows: list[Row]
    words: str


def open_now(now: datetime) -> Board:
    """Every open incident, what goes first, first; four queries."""
    found = list(Incident.objects.exclude(state=State.RESOLVED).select_related("assignee"))
    rows = costed(found, now)
    rows.sort(key=lambda row: order.rank(row.waiting))
    return Board(rows, order.words([row.waiting for row in rows]))


def costed(incidents: Sequence[Incident], now: datetime) -> list[Row]:
    """Incidents with their cost; three queries for all of them."""
    came = people.of_many([one.pk for one in incidents])
    hour = terms.on_call_hour(now)
    return [_row(one, came.get(one.pk, {}), hour, now) for one in incidents]


def _row(incident: Incident, came: dict[int, datetime], hour: int, now: datetime) -> Row:
    on_call = incident.on_call_micro_dollars
    if on_call is None:
        seconds = on_call_s(
            incident.opened_at.timestamp(), (moment.timestamp() for moment in came.values()), now.timestamp()
        )
        on_call = on_call_micro_dollars(seconds, hour)
    found = Cost(incident.gpu_waste_micro_dollars, incident.sla_micro_dollars, on_call)
    counted = max(1, len(came))
    rate = counted * hour if incident.resolved_at is None else 0
    return Row(incident, found, len(came), rate, max(now, incident.opened_at))


def resolved(now: datetime) -> list[Row]:
    """The newest that are over; four queries."""
    rows = Incident.objects.filter(state=State.RESOLVED).select_related("assignee").order_by("-opened_at")
    return costed(list(rows[:RESOLVED_SHOWN]), now)


@dataclass(frozen=True)
class Repair:
    """The times of one alarm's incidents beside the published ones, in minutes where there are any."""

    title: str
    runbook: str
    times: Times
    published: tuple[int, int] | None


def repairs(now: datetime, alarm: str = "") -> list[Repair]:
    """p50 and p99 of the newest resolved incidents of 90 days, per alarm and so per runbook; one query."""
    found = Incident.objects.filter(state=State.RESOLVED, opened_at__gte=now - TIMED_OVER)
    if alarm:
        found = found.filter(alarm=alarm)
    rows = found.order_by("-opened_at").values_list("alarm_id", "opened_at", "mitigated_at", "resolved_at")
    ended = [
        Ended(name or "", (mitigated - opened).total_seconds(), (end - opened).total_seconds())
        for name, opened, mitigated, end in rows[:TIMED]
    ]
    return [_repair(times) for times in repair_times.times(ended)]


def _repair(times: Times) -> Repair:
    book = runbooks.BY_SLUG.get(times.group)
    alarm = BY_NAME.get(times.group)
    title = alarm.title if alarm else "Opened by people"
    return Repair(title, book.slug if book else "", times, book.restored if book else None)
