"""The pages of alarms: what stands, what to do, settings with a preview over the recorded day, silences."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import AuditEntry
from console.alarms import guides, measuring, rounds, terms
from console.alarms.policy.catalog import ALARMS
from console.models import AlarmCount, AlarmFiring, AlarmOverride, AlarmSilence
from generation import dispatch
from tests.console.people import operator, person

pytestmark = pytest.mark.django_db
PAGE = "/operate/alarms/"


@pytest.fixture
def storm():
    """Two hours ago a NaN storm of ten minutes, recorded, and one that goes on now."""
    now = dispatch.clock()
    until = measuring.step_of(now)
    for begin in (timedelta(hours=2), timedelta(minutes=5)):
        steps = range(60 if begin > timedelta(hours=1) else 30)
        AlarmCount.objects.bulk_create(
            AlarmCount(at=until - begin + measuring.STEP * n, measure="not_finite", scope="", bad=1, total=20)
            for n in steps
        )
    rounds.run(now, scorer=0.0)
    return now


def test_the_page_shows_what_fires_first_and_that_nobody_is_paged(storm, settings):
    settings.PAGERDUTY_ROUTING_KEY = settings.ALARM_WEBHOOK_URL = ""
    settings.ALARM_MAIL_TO = []
    client, _ = operator()
    page = client.get(PAGE).content.decode()
    assert "Nobody is paged" in page
    assert "Firing" in page
    assert page.index("NaN rate") < page.index("Ledger drift")
    assert "150 of 3,000" not in page
    assert "30 of 600" in page
    assert "Nobody has looked" not in page


def test_a_round_that_stopped_is_said(storm):
    from console.models import AlarmRound

    AlarmRound.objects.update(at=storm - timedelta(minutes=1))
    client, _ = operator()
    assert "Nobody has looked at alarms since" in client.get(PAGE).content.decode()


def test_only_operators_may_look_and_change():
    client, _ = person()
    for address in (PAGE, f"{PAGE}not_finite/"):
        assert client.get(address).status_code in (403, 404)
        assert Client().get(address).status_code == 302
    assert client.post(f"{PAGE}not_finite/silence", {"reason": "x", "expires": "60"}).status_code in (
        403,
        404,
    )
    assert not AlarmSilence.objects.exists()


def test_a_threshold_is_previewed_on_the_recorded_day_changed_and_undone(storm):
    client, user = operator()
    page = client.get(f"{PAGE}not_finite/", {"field": "threshold", "value": "0.04"}).content.decode()
    assert "it would have fired 2 times, with the settings of now 2 times" in page
    refused = client.get(f"{PAGE}not_finite/", {"field": "threshold", "value": "0.5"})
    assert refused.status_code == 400
    assert (
        client.post(f"{PAGE}not_finite/settings/escalate", {"value": "0.5", "reason": "x"}).status_code == 302
    )
    page = client.get(f"{PAGE}not_finite/", {"field": "threshold", "value": "0.1"}).content.decode()
    assert "it would have fired not once, with the settings of now 2 times" in page
    answer = client.post(
        f"{PAGE}not_finite/settings/threshold", {"value": "0.1", "reason": "a known model", "expires": "60"}
    )
    assert answer.status_code == 302
    assert terms.of_alarm("not_finite", dispatch.clock()).threshold == 0.1
    assert AlarmOverride.objects.get(field="threshold").author == user.email
    entry = AuditEntry.objects.get(action="alarm.setting", after__threshold=0.1)
    client.post(f"{PAGE}changes/{entry.pk}/undo", {"reason": "it was not"})
    assert terms.of_alarm("not_finite", dispatch.clock()).threshold == 0.005
    assert "0.005 → <b>0.1</b>" in client.get(f"{PAGE}not_finite/").content.decode()


def test_a_silence_takes_a_reason_and_an_end_and_can_be_ended(storm):
    client, user = operator()
    for given in ({"reason": "", "expires": "60"}, {"reason": "why", "expires": ""}):
        client.post(f"{PAGE}not_finite/silence", given)
    assert not AlarmSilence.objects.exists()
    client.post(f"{PAGE}not_finite/silence", {"reason": "a drill", "expires": "60"})
    row = AlarmSilence.objects.get()
    assert (row.alarm_id, row.scope, row.author, row.reason) == ("not_finite", "", user.email, "a drill")
    assert "a drill" in client.get(f"{PAGE}not_finite/").content.decode()
    client.post(f"{PAGE}silences/{row.pk}/end", {"reason": "over"})
    row.refresh_from_db()
    assert row.removed_by == user.email
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))[-2:] == [
        "alarm.silence",
        "alarm.unsilence",
    ]


def test_who_acknowledges_has_it_and_only_one_does(storm):
    client, user = operator()
    firing = AlarmFiring.objects.get(alarm="not_finite")
    client.post(f"{PAGE}firings/{firing.pk}/acknowledge")
    other, _ = operator()
    other.post(f"{PAGE}firings/{firing.pk}/acknowledge")
    firing.refresh_from_db()
    assert firing.acknowledged_by == user.email
    assert AuditEntry.objects.filter(action="alarm.acknowledge").count() == 1


def test_every_alarm_has_its_page_with_what_to_do():
    for alarm in ALARMS:
        sections = [section.title for section in guides.of(alarm.name)]
        assert sections == ["What it means", "Detect", "First mitigation", "Roll back", "Follow up"], (
            alarm.name
        )
        assert all(section.steps for section in guides.of(alarm.name)[1:])


def test_pages_take_as_many_queries_for_many_firings_as_for_few(storm, django_assert_max_num_queries):
    client, _ = operator()
    AlarmFiring.objects.bulk_create(
        AlarmFiring(
            alarm_id="bypass",
            level=1,
            opened_at=storm - timedelta(hours=n + 1),
            threshold=0,
            cleared_at=storm,
        )
        for n in range(200)
    )
    for address in (PAGE, f"{PAGE}bypass/", f"{PAGE}bypass/?field=threshold&value=2"):
        with django_assert_max_num_queries(32):
            assert client.get(address).status_code == 200
