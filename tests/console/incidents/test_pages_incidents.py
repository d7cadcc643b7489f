"""The pages of incidents: which goes first and why, one with its runbook and timeline, changes, files, who may."""

import json
import re
from datetime import datetime, timedelta

import pytest
from django.test import Client

from accounts import actions, staff
from accounts.models import AuditEntry, StaffRole
from console.incidents import openings
from console.incidents.changes import MoveIncident, OpenIncident
from console.models import AlarmFiring, FollowUp, Incident, IncidentLine
from generation import dispatch
from tests.console.people import operator, person

pytestmark = pytest.mark.django_db
PAGE = "/operate/incidents/"


def fired(alarm: str, scope: str = "") -> Incident:
    now = dispatch.clock()
    AlarmFiring.objects.create(
        alarm_id=alarm, scope=scope, level=1, opened_at=now, value=90, peak=90, threshold=60
    )
    openings.follow(now)
    return Incident.objects.get(alarm=alarm)


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, address
    return response.content.decode()


def test_safety_stands_before_money_and_the_page_says_so_in_words():
    client, _ = operator()
    assert "Nothing is open" in text(client, PAGE)
    storm, bypass = fired("not_finite"), fired("bypass")
    Incident.objects.filter(pk=storm.pk).update(gpu_waste_micro_dollars=412_000_000)
    page = text(client, PAGE)
    assert f"Safety outranks service: take incident {bypass.pk} (Safety bypass) first." in page
    assert re.search(rf"That incident {storm.pk} \(NaN rate\) costs more, \$412\.\d\d by now", page)
    table = page[page.index("<tbody>") :]
    assert table.index("Safety bypass") < table.index("NaN rate")
    assert "2 still do harm." in " ".join(page.split())
    assert f'href="{PAGE}{bypass.pk}/">Go there' in text(client, f"{PAGE}{storm.pk}/")


def test_from_the_page_to_the_first_mitigation_are_two_clicks():
    """The first opens the step with what it would do; the second applies it, and it is a line of the timeline."""
    client, user = operator()
    incident = fired("plus_starvation", "clips")
    page = text(client, f"{PAGE}{incident.pk}/")
    step = page[page.index('data-step="1"') - 200 : page.index('data-step="1"')]
    address = step[step.index('href="') + 6 :].partition('"')[0].replace("&amp;", "&").partition("#")[0]
    shown = text(client, address)
    assert "goes from weight 2 to 4" in shown
    form = shown[shown.index('action="/operate/runbooks/plus_starvation/do"') :]
    form = form[: form.index("</form>")]
    fields = dict(
        part.partition('" value="')[::2]
        for part in form.split('type="hidden" name="')[1:]
        if "value=" in part
    )
    given = {name: value.partition('"')[0].replace("&amp;", "&") for name, value in fields.items()}
    given.pop("csrfmiddlewaretoken", None)
    answer = client.post(
        "/operate/runbooks/plus_starvation/do", {**given, "reason": "a free rush", "expires": "15"}
    )
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{PAGE}{incident.pk}/")
    page = text(client, f"{PAGE}{incident.pk}/")
    assert "Action run from here" in page
    assert "weight 2" in " ".join(page.split())
    assert "a free rush" in page


def test_its_whole_course_by_forms():
    client, user = operator()
    incident = fired("plus_starvation", "clips")
    own = f"{PAGE}{incident.pk}/"
    for verb, given in (
        ("acknowledge", {}),
        ("severity", {"severity": "1", "reason": "more"}),
        ("assign", {"person": str(user.pk), "reason": "mine"}),
        ("mitigate", {"reason": "weight 4"}),
        ("reopen", {"reason": "it waits again"}),
    ):
        assert client.post(f"{own}change/{verb}", given).status_code == 302, verb
    refused = client.post(f"{own}change/resolve", {"reason": "over"})
    assert refused.status_code == 400
    said = refused.content.decode()
    assert "An alarm of it still fires, so it was not resolved." in said
    assert "Plus starvation in clips: it can be resolved once that has cleared." in said
    assert 'value="over"' in said  # what was typed is not lost
    AlarmFiring.objects.update(cleared_at=dispatch.clock())
    openings.follow(dispatch.clock())
    assert "Its alarm has cleared: it can be resolved." in text(client, own)
    assert client.post(f"{own}change/resolve", {"reason": ""}).status_code == 400
    assert client.post(f"{own}change/resolve", {"reason": "over"}).status_code == 302
    incident.refresh_from_db()
    assert (incident.state, incident.severity, incident.assignee) == ("resolved", 1, user)
    assert client.post(f"{own}change/explode", {"reason": "x"}).status_code == 404
    page = text(client, PAGE)
    assert "Plus starvation" in page[page.index('id="times-title"') : page.index('id="over-title"')]
    assert "8 / 25 min" in page


def test_a_running_cost_is_told_in_numbers_that_a_script_counts_on():
    client, user = operator()
    incident = fired("plus_starvation", "clips")
    hour = {"hour": "0.333333", "reason": "a third of a dollar", "expires": ""}
    assert client.post(f"{PAGE}settings", hour).status_code == 302
    assert client.post(f"{PAGE}{incident.pk}/change/acknowledge").status_code == 302
    Incident.objects.filter(pk=incident.pk).update(gpu_waste_micro_dollars=12_345_678_901)
    for address in (PAGE, f"{PAGE}{incident.pk}/"):
        page = text(client, address)
        (cost,) = re.findall(r'data-cost="([^"]*)"', page)
        (rate,) = re.findall(r'data-rate="([^"]*)"', page)
        (at,) = re.findall(r'data-at="([^"]*)"', page)
        assert int(cost) >= 12_345_678_901
        assert int(rate) > 0  # of the minute that the page is of, before or after the change
        assert abs(datetime.fromisoformat(at) - dispatch.clock()) < timedelta(minutes=5)


def test_notes_and_follow_ups_are_written_and_done_once():
    client, user = operator()
    own = f"{PAGE}{fired('bypass').pk}/"
    assert client.post(f"{own}note", {"text": " "}).status_code == 400
    assert client.post(f"{own}note", {"text": "Counsel was <told>"}).status_code == 302
    assert (
        client.post(f"{own}follow-ups", {"text": "Widen the golden set", "owner": "999999"}).status_code
        == 400
    )
    assert (
        client.post(f"{own}follow-ups", {"text": "Widen the golden set", "owner": str(user.pk)}).status_code
        == 302
    )
    task = FollowUp.objects.get()
    for status in (302, 409):
        answer = client.post(f"{own}follow-ups/{task.pk}/done")
        assert answer.status_code == status or (status == 409 and answer.status_code >= 400)
    task.refresh_from_db()
    assert task.done_by == user.email
    page = text(client, own)
    assert "Counsel was &lt;told&gt;" in page
    whats = list(IncidentLine.objects.order_by("id").values_list("what", flat=True))
    assert whats == ["opened", "fired", "note", "follow_up", "follow_up_done"]


def test_people_open_one_and_the_on_call_hour_is_previewed_changed_and_audited():
    client, user = operator()
    given = {
        "title": "Clips look green",
        "grave": "1",
        "severity": "3",
        "began": "15",
        "reason": "three wrote",
    }
    assert client.post(f"{PAGE}open", {**given, "grave": "9"}).status_code == 400
    answer = client.post(f"{PAGE}open", given)
    incident = Incident.objects.get()
    assert answer.headers["Location"] == f"{PAGE}{incident.pk}/"
    assert "No alarm opened it" in text(client, f"{PAGE}{incident.pk}/")
    assert "goes from 300 dollars an hour to 250" in text(client, f"{PAGE}?hour=250")
    assert client.get(f"{PAGE}?hour=-1").status_code == 400
    client.post(f"{PAGE}settings", {"hour": "250", "reason": "a new rota", "expires": "60"})
    assert AuditEntry.objects.get(action="operated_incident.setting").actor == user
    assert "$250 for each person" in text(client, PAGE)


def test_it_goes_out_as_a_file_that_says_everything():
    client, user = operator()
    incident = fired("plus_starvation", "clips")
    client.post(f"{PAGE}{incident.pk}/note", {"text": "a *note* with | marks"})
    told = json.loads(client.get(f"{PAGE}{incident.pk}/export.json").content)
    assert (told["incident"], told["alarm"], told["state"]) == (incident.pk, "plus_starvation", "open")
    assert [line["what"] for line in told["timeline"]] == ["opened", "fired", "note"]
    assert told["cost_micro_dollars"]["total"] == sum(
        told["cost_micro_dollars"][part] for part in ("gpu_waste", "sla_credits", "on_call")
    )
    markdown = client.get(f"{PAGE}{incident.pk}/export.md").content.decode()
    assert markdown.startswith(f"# Incident {incident.pk}: Plus starvation in clips")
    assert "a \\*note\\* with \\| marks" in markdown
    assert client.get(f"{PAGE}{incident.pk}/export.exe").status_code == 404


def test_operators_and_trust_and_safety_follow_incidents_and_nobody_else():
    incident = fired("bypass")
    own = f"{PAGE}{incident.pk}/"
    stranger, _ = person()
    for address in (PAGE, own, f"{own}export.json", f"{PAGE}events"):
        assert stranger.get(address).status_code == 403, address
    assert stranger.post(f"{own}note", {"text": "x"}).status_code == 403
    assert Client().get(own).status_code == 302
    safety, user = operator()
    staff.grant(user, StaffRole.Role.TRUST_SAFETY, "test", "for this test")
    staff.withdraw(user, StaffRole.Role.OPERATOR, "test", "for this test")
    assert safety.get(own).status_code == 200
    assert safety.post(f"{own}change/acknowledge").status_code == 302
    assert safety.post(f"{PAGE}settings", {"hour": "1", "reason": "x", "expires": ""}).status_code == 403
    incident.refresh_from_db()
    assert (incident.state, incident.assignee) == ("acknowledged", user)


def test_pages_take_as_many_queries_for_many_as_for_few(django_assert_max_num_queries):
    client, user = operator()
    incident = fired("plus_starvation", "clips")
    now = dispatch.clock()
    for number in range(30):
        action = OpenIncident(f"number {number}", 1, 3)
        actions.perform(action, user, "a reason")
        if number % 2:
            actions.perform(MoveIncident(action.incident_id, state="resolved"), user, "over")
    IncidentLine.objects.bulk_create(
        IncidentLine(incident=incident, at=now + timedelta(seconds=n), author="a", what="note", text="b")
        for n in range(200)
    )
    for address, most in (
        (PAGE, 24),
        (f"{PAGE}{incident.pk}/", 32),
        (f"{PAGE}{incident.pk}/?do=lane_weight", 60),
    ):
        text(client, address)
        with django_assert_max_num_queries(most):
            text(client, address)
