"""What every open incident costs and whom it met, reckoned every few seconds, so that pages only read it."""

from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from console.incidents import affected, people
from console.incidents.policy import cost
from console.models import Incident
from generation.costs import measured
from generation.costs.summary import summary
from generation.rounds import is_mine


def run(now: datetime) -> int:
    """One round over all open incidents; how many. Nine queries each."""
    with transaction.atomic():
        if not is_mine("incidents"):
            return 0
        found = list(Incident.objects.exclude(state=Incident.State.RESOLVED).select_for_update(no_key=True))
        for incident in found:
            reckon(incident, now)
    return len(found)


def reckon(incident: Incident, now: datetime) -> None:
    """Write what it costs until now and whom it met. The caller holds its lock.

    Only the newest attempts are read (`generation/costs/measured.py`): of an incident that outlasts them the figures
    keep the highest that was reckoned.
    """
    found = measured.measured(incident.began_at, now)
    told = summary(found)
    waste, credits = told.wasted_micro_dollars, found.credits_micro_dollars
    if found.cut:
        waste = max(waste, incident.gpu_waste_micro_dollars)
        credits = max(credits, incident.sla_micro_dollars)
    met = _met(incident, now)
    incident.gpu_waste_micro_dollars, incident.sla_micro_dollars = waste, credits
    incident.affected_jobs, incident.affected_organizations = met.jobs, met.organizations
    incident.affected, incident.reckoned_at = met.named, now
    incident.save(
        update_fields=[
            "gpu_waste_micro_dollars", "sla_micro_dollars", "affected_jobs", "affected_organizations", "affected",
            "reckoned_at",
        ]
    )  # fmt: skip


def _met(incident: Incident, now: datetime) -> affected.Affected:
    firings = list(incident.firings.values_list("firing__scope", "firing__threshold"))
    scopes = sorted({scope for scope, _ in firings})
    limit = min((threshold for _, threshold in firings), default=affected.WAIT_LIMIT_S)
    return affected.by_alarm(incident.alarm_id or "", scopes, limit, incident.began_at, now)


def on_call(incident: Incident, hour_micro_dollars: int, now: datetime) -> int:
    """Micro-dollars of on-call time until now; one query."""
    came = [moment.timestamp() for moment in people.came_at(incident.pk).values()]
    seconds = cost.on_call_s(incident.opened_at.timestamp(), came, now.timestamp())
    return cost.on_call_micro_dollars(seconds, hour_micro_dollars)


def as_json(found: cost.Cost) -> dict:
    """Micro-dollars by kind, with their sum."""
    return asdict(found) | {"total": found.total}
