"""Alarms open incidents, join them, end them where they may; and what people change stays on record."""

from datetime import timedelta

import pytest

from accounts import actions, operations
from accounts.errors import ApiError
from accounts.models import AuditEntry, OutboxEvent
from console.alarms import rounds
from console.alarms.changes import Acknowledge
from console.incidents import board, moves, openings, reckoning, timeline
from console.incidents.changes import (
    AssignIncident,
    ChangeIncidentSeverity,
    MoveIncident,
    OpenIncident,
    ReopenIncident,
)
from console.incidents.terms import ChangeIncidentSetting
from console.models import AlarmFiring, Incident, IncidentFiring, IncidentLine
from generation import dispatch, finalization
from generation.finalization import Ran
from generation.models import Job
from generation.scheduling.leases import lease_of
from safety import incidents
from safety.models import SafetyIncident
from tests.console.people import operator
from tests.generation.api_stage import media_folder, tenant
from tests.generation.queueing import claim, idle_worker, submit, submit_many

__all__ = ["media_folder"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
State = Incident.State


def fire(alarm: str = "not_finite", scope: str = "", level: int = 1, at=None) -> AlarmFiring:
    return AlarmFiring.objects.create(
        alarm_id=alarm,
        scope=scope,
        level=level,
        opened_at=at or dispatch.clock(),
        value=0.05,
        peak=0.05,
        threshold=0.01,
    )


def whats(incident: Incident) -> list[str]:
    return list(incident.lines.order_by("id").values_list("what", flat=True))


def opened(alarm: str = "not_finite", **given) -> Incident:
    fire(alarm, **given)
    openings.follow(dispatch.clock())
    return Incident.objects.get(alarm=alarm)


def test_drift_opens_one_incident_in_the_round_that_sees_it_and_people_are_led_there(settings):
    settings.PAGERDUTY_ROUTING_KEY, settings.SITE_URL = "a-key", "https://backlot.example.com"
    operations.report("billing.drift", "critical", "organization:acme", {"drifted": 1})
    now = dispatch.clock() + timedelta(seconds=20)
    for seconds in (0, 5, 10):
        rounds.run(now + timedelta(seconds=seconds), scorer=0.0)
    incident = Incident.objects.get(alarm="ledger_drift")
    assert (incident.grave, incident.severity, incident.state, incident.opened_by) == (2, 1, "open", "alarms")
    assert incident.opened_at == incident.began_at == now
    assert whats(incident) == ["opened", "fired"]
    told = OutboxEvent.objects.get(topic="alarm.pagerduty", payload__alarm="ledger_drift")
    assert told.payload["link"] == f"https://backlot.example.com/operate/incidents/{incident.pk}/"


def test_the_harm_began_when_the_condition_did():
    submit_many(tenant("plus"), 4)
    now = dispatch.clock()
    Job.objects.update(queued_at=now - timedelta(seconds=90))
    for seconds in (0, 10, 20):
        rounds.run(now + timedelta(seconds=seconds), scorer=0.0)
    incident = Incident.objects.get(alarm="plus_starvation")
    assert (incident.began_at, incident.opened_at) == (now, now + timedelta(seconds=20))
    assert incident.title == "Plus starvation in clips"
    reckoning.run(now + timedelta(seconds=30))
    incident.refresh_from_db()
    assert (incident.affected_jobs, incident.affected_organizations) == (4, 1)
    assert set(incident.affected["jobs"]) == {str(pk) for pk in Job.objects.values_list("pk", flat=True)}


def test_another_firing_of_the_same_alarm_joins_and_raises_the_severity():
    incident = opened("plus_starvation", scope="clips")
    assert incident.severity == 2
    fire("plus_starvation", scope="code", level=2)
    openings.follow(dispatch.clock())
    incident.refresh_from_db()
    assert Incident.objects.count() == 1
    assert incident.severity == 1
    assert whats(incident) == ["opened", "fired", "fired", "severity"]
    assert incident.firings.count() == 2
    assert openings.follow(dispatch.clock()) == 0


def test_it_is_mitigated_once_all_its_alarms_have_cleared_and_comes_back_when_one_fires_again():
    incident = opened("plus_starvation", scope="clips")
    fire("plus_starvation", scope="code")
    openings.follow(dispatch.clock())
    for scope, state in (("clips", "open"), ("code", "mitigated")):
        AlarmFiring.objects.filter(scope=scope).update(cleared_at=dispatch.clock())
        openings.follow(dispatch.clock())
        incident.refresh_from_db()
        assert incident.state == state
    assert incident.mitigated_at == AlarmFiring.objects.get(scope="code").cleared_at
    fire("plus_starvation", scope="clips")
    openings.follow(dispatch.clock())
    incident.refresh_from_db()
    assert (incident.state, incident.mitigated_at) == ("open", None)
    assert whats(incident)[-2:] == ["fired", "reopened"]


@pytest.mark.parametrize("alarm", ["rejections", "ledger_drift"])
def test_safety_and_what_has_happened_wait_for_a_person(alarm):
    incident = opened(alarm)
    AlarmFiring.objects.update(cleared_at=dispatch.clock())
    openings.follow(dispatch.clock())
    incident.refresh_from_db()
    assert incident.state == "open"
    assert whats(incident)[-1] == "cleared"


def test_who_acknowledges_the_alarm_has_the_incident_and_the_other_way_round():
    _, user = operator()
    incident = opened()
    actions.perform(Acknowledge(AlarmFiring.objects.get().pk), user, "On it.")
    openings.follow(dispatch.clock())
    incident.refresh_from_db()
    assert (incident.state, incident.assignee, incident.changed_by) == ("acknowledged", user, user.email)
    other = opened("retries")
    actions.perform(MoveIncident(other.pk), user, "On it.")
    assert AlarmFiring.objects.get(alarm="retries").acknowledged_by == user.email
    assert openings.follow(dispatch.clock()) == 0
    with pytest.raises(ApiError, match="acknowledged by now"):
        actions.perform(MoveIncident(other.pk), user, "Me too.")
    assert AuditEntry.objects.filter(target=f"operated_incident:{other.pk}").count() == 1


def test_it_can_not_be_resolved_while_its_alarm_fires_and_stands_still_afterwards():
    _, user = operator()
    incident = opened()
    with pytest.raises(ApiError, match="still fires"):
        actions.perform(MoveIncident(incident.pk, state=State.RESOLVED), user, "Done.")
    actions.perform(MoveIncident(incident.pk, state=State.MITIGATED), user, "A rule was added.")
    AlarmFiring.objects.update(cleared_at=dispatch.clock())
    openings.follow(dispatch.clock())
    actions.perform(MoveIncident(incident.pk, state=State.RESOLVED), user, "The revision is gone.")
    incident.refresh_from_db()
    assert incident.on_call_micro_dollars is not None
    for change in (
        MoveIncident(incident.pk, state=State.MITIGATED),
        ReopenIncident(incident.pk),
        ChangeIncidentSeverity(incident.pk, severity=1),
        AssignIncident(incident.pk, person_id=user.pk),
    ):
        with pytest.raises(ApiError, match="resolved"):
            actions.perform(change, user, "again")
    assert opened_again() != incident.pk
    assert whats(incident) == ["opened", "fired", "mitigated", "cleared", "resolved"]


def opened_again() -> int:
    fire()
    openings.follow(dispatch.clock())
    return Incident.objects.exclude(state=State.RESOLVED).get(alarm="not_finite").pk


def test_people_open_them_too_and_every_change_is_a_line_and_an_audit_row():
    _, user = operator()
    action = OpenIncident("Clips look green", 1, 3, began=15)
    actions.perform(action, user, "Three people wrote.")
    incident = Incident.objects.get(pk=action.incident_id)
    assert incident.opened_at - incident.began_at == timedelta(minutes=15)
    actions.perform(ChangeIncidentSeverity(incident.pk, severity=2), user, "More of them.")
    actions.perform(AssignIncident(incident.pk, person_id=user.pk), user, "Mine.")
    actions.perform(MoveIncident(incident.pk, state=State.MITIGATED), user, "Rolled back.")
    actions.perform(ReopenIncident(incident.pk), user, "Green again.")
    incident.refresh_from_db()
    assert (incident.state, incident.severity, incident.assignee) == ("open", 2, user)
    assert whats(incident) == ["opened", "severity", "assigned", "mitigated", "reopened"]
    entries = AuditEntry.objects.filter(target=f"operated_incident:{incident.pk}")
    assert entries.count() == 5
    moments = timeline.of(incident, dispatch.clock())
    assert {moment.what for moment in moments} >= set(whats(incident))
    assert not [moment for moment in moments if moment.action.startswith("operated_incident")]  # told once
    for bad in (
        OpenIncident(" ", 1, 3),
        OpenIncident("x", 4, 3),
        OpenIncident("x", 1, 5),
        OpenIncident("x", 1, 1, 7),
    ):
        with pytest.raises(ApiError):
            actions.perform(bad, user, "why")
    assert Incident.objects.count() == 1


def test_what_it_costs_is_what_was_wasted_credited_and_worked(settings):
    _, user = operator()
    submit(tenant("plus"))
    began = dispatch.clock()
    incident = opened(at=began)
    attempt = claim(idle_worker())
    finalization.fail(lease_of(attempt), Ran(gpu_ms=3_600_000), "not_finite", "a value was not finite")
    now = dispatch.clock() + timedelta(minutes=6)
    reckoning.run(now)
    incident.refresh_from_db()
    assert incident.gpu_waste_micro_dollars == 3_500_000
    assert (incident.sla_micro_dollars, incident.affected_jobs) == (0, 1)
    (row,) = board.open_now(began + timedelta(hours=1)).rows
    assert row.cost.on_call == 300_000_000
    assert row.cost.total == 303_500_000
    assert row.rate == 300_000_000
    actions.perform(ChangeIncidentSetting(value=100_000_000), user, "A cheaper rota.")
    (row,) = board.open_now(began + timedelta(hours=1)).rows
    assert row.cost.on_call == 100_000_000


def test_a_change_that_ended_at_its_time_is_a_line_unless_it_was_undone():
    from accounts import audit

    _, user = operator()
    incident = opened()
    now = dispatch.clock()
    for target, minutes in (("lane:clips-plus", 1), ("lane:clips-free", 90)):
        audit.record(
            actor=user,
            action="lane.weight",
            target=target,
            reason="a rush",
            before={"weight": 2},
            after={"weight": 4, "expires_at": (now + timedelta(minutes=minutes)).isoformat()},
        )
    found = timeline.of(incident, now + timedelta(minutes=5))
    changed = [moment for moment in found if moment.what == "change"]
    assert {moment.target for moment in changed} == {"lane:clips-plus", "lane:clips-free"}
    assert changed[0].changes == (("weight", 2, 4),)
    (back,) = [moment for moment in found if moment.what == "returned"]
    assert (back.target, back.at) == ("lane:clips-plus", now + timedelta(minutes=1))
    audit.record(
        actor=user,
        action="lane.weight.undo",
        target="lane:clips-plus",
        reason="x",
        before={"weight": 4},
        after={},
    )
    assert "returned" not in {moment.what for moment in timeline.of(incident, now + timedelta(minutes=5))}


def test_a_bypass_begins_with_the_record_of_what_was_found():
    kind = SafetyIncident.Kind.RESCAN
    found = incidents.open_incident(kind, "a scan", "found again", evidence={}, by="re-scan", text="found")
    found.refresh_from_db()
    bypass = opened("bypass", at=dispatch.clock() + timedelta(minutes=2))
    assert (bypass.safety_incident, bypass.began_at > found.opened_at) == (found, True)
    moments = timeline.of(bypass, dispatch.clock() + timedelta(minutes=3))
    assert (moments[0].what, moments[0].safety_incident) == ("safety", found.pk)


def test_many_incidents_take_as_many_queries_as_one(django_assert_max_num_queries):
    _, user = operator()
    for number in range(30):
        actions.perform(OpenIncident(f"number {number}", 1, 3), user, "a reason")
    now = dispatch.clock()
    with django_assert_max_num_queries(4):
        assert len(board.open_now(now).rows) == 30
    with django_assert_max_num_queries(2):
        openings.follow(now)


def test_every_alarm_knows_whom_it_met():
    from console.alarms.policy.catalog import ALARMS
    from console.incidents import affected

    now = dispatch.clock()
    for alarm in ["", *(alarm.name for alarm in ALARMS)]:
        assert affected.by_alarm(alarm, ["clips"], 60, now - timedelta(hours=1), now).jobs == 0
    known = {alarm.name for alarm in ALARMS} - set(affected.BY_ALARM)
    jobless = {"ledger_drift", "scorer_down", "outbox_dead", "outbox_parked", "webhooks_late", "synthetic"}
    assert known == jobless


def test_moves_take_their_lock_and_refuse_what_is_not_there():
    with pytest.raises(ApiError, match="no such incident"):
        moves.locked(999)
    assert not IncidentFiring.objects.exists()
    assert not IncidentLine.objects.exists()
