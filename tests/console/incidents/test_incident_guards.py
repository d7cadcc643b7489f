"""What the database holds of incidents, whoever writes."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from console.models import FollowUp, Incident, IncidentLine
from tests.console.people import operator

pytestmark = pytest.mark.django_db


def made(**given) -> Incident:
    now = timezone.now()
    fields = {
        "title": "a title",
        "grave": 1,
        "severity": 2,
        "began_at": now,
        "opened_at": now,
        "opened_by": "somebody",
        "changed_at": now,
        "changed_by": "somebody",
        "change_reason": "a reason",
    }
    return Incident.objects.create(**fields | given)


def refused(do, words: str = "") -> None:
    with pytest.raises(DatabaseError, match=words or None), transaction.atomic():
        do()


def test_an_alarm_has_one_open_incident_and_a_new_one_once_it_is_resolved():
    first = made(alarm_id="bypass")
    with pytest.raises(IntegrityError, match="one_open_incident_per_alarm"), transaction.atomic():
        made(alarm_id="bypass")
    made()
    made()  # people may open as many as they see
    now = timezone.now()
    Incident.objects.filter(pk=first.pk).update(
        state="resolved", mitigated_at=now, resolved_at=now, on_call_micro_dollars=0, changed_at=now
    )
    made(alarm_id="bypass")


def test_states_follow_one_another_and_each_is_a_line():
    one = made()
    now = timezone.now()
    mine = Incident.objects.filter(pk=one.pk)
    refused(lambda: mine.update(state="mitigated"), "incident_state_whole")
    refused(lambda: mine.update(acknowledged_at=now), "incident_state_whole")
    mine.update(state="acknowledged", acknowledged_at=now, changed_by="a", change_reason="on it")
    refused(lambda: mine.update(state="open", acknowledged_at=None))
    refused(lambda: mine.update(state="mitigated", mitigated_at=now - timedelta(days=1)), "goes_forward")
    mine.update(state="mitigated", mitigated_at=now, change_reason="stopped")
    refused(lambda: mine.update(state="resolved", resolved_at=now), "incident_cost_whole")
    mine.update(state="resolved", resolved_at=now, on_call_micro_dollars=5, change_reason="over")
    lines = IncidentLine.objects.filter(incident=one).order_by("id")
    assert list(lines.values_list("what", "text")) == [
        ("opened", "a reason"),
        ("acknowledged", "on it"),
        ("mitigated", "stopped"),
        ("resolved", "over"),
    ]
    refused(lambda: mine.update(gpu_waste_micro_dollars=1))
    refused(
        lambda: mine.update(state="open", resolved_at=None, mitigated_at=None, on_call_micro_dollars=None)
    )
    refused(mine.delete)


def test_nothing_begins_but_open_and_nothing_is_rewritten():
    now = timezone.now()
    refused(lambda: made(state="mitigated", mitigated_at=now), "begins open")
    one = made()
    for change in ({"opened_by": "x"}, {"opened_at": now - timedelta(days=1)}, {"alarm_id": "bypass"}):
        refused(lambda given=change: Incident.objects.filter(pk=one.pk).update(**given))
    for bad in ({"grave": 0}, {"severity": 5}, {"title": " "}, {"change_reason": ""}):
        refused(lambda given=bad: made(**given))
    line = IncidentLine.objects.get(incident=one)
    refused(lambda: IncidentLine.objects.filter(pk=line.pk).update(text="other"))
    refused(line.delete)
    refused(lambda: connection.cursor().execute("TRUNCATE console_incidentline"))
    refused(lambda: IncidentLine.objects.create(incident=one, author="a", what="gossip", text="b"))


def test_a_follow_up_is_done_once_by_somebody():
    _, user = operator()
    task = FollowUp.objects.create(
        incident=made(), text="Widen the golden set", owner=user, created_by=user.email
    )
    mine = FollowUp.objects.filter(pk=task.pk)
    refused(lambda: mine.update(done_at=timezone.now()))
    refused(lambda: mine.update(text="nothing"))
    mine.update(done_at=timezone.now(), done_by=user.email)
    refused(lambda: mine.update(done_at=None, done_by=""))
    refused(mine.delete)
