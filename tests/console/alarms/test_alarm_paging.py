"""Paging, against a server that stands in for PagerDuty and a chat: what is sent, once each, in order, with retries."""

import json
import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.db.models.functions import Now

from accounts.models import OutboxEvent
from console.alarms import paging
from console.models import AlarmFiring
from generation import dispatch
from tests.accounts.webhooks.receiver import Receiver, Reply, receiving

pytestmark = pytest.mark.django_db


@pytest.fixture
def quiet(settings):
    """No way to people at all."""
    settings.PAGERDUTY_ROUTING_KEY = settings.PAGERDUTY_SECOND_ROUTING_KEY = settings.ALARM_WEBHOOK_URL = ""
    settings.ALARM_MAIL_TO, settings.ALARM_LOCAL_ADDRESSES = [], True
    return settings


def firing(level: int = 1) -> AlarmFiring:
    return AlarmFiring.objects.create(
        alarm_id="not_finite",
        level=level,
        opened_at=dispatch.clock(),
        value=0.021,
        peak=0.021,
        threshold=0.005,
    )


def sent(server: Receiver) -> list[dict]:
    return [json.loads(body) for _, _, body in server.got]


def due() -> None:
    OutboxEvent.objects.filter(dispatched_at=None).update(due_at=Now())


def end(one: AlarmFiring) -> None:
    AlarmFiring.objects.filter(pk=one.pk).update(cleared_at=dispatch.clock() + timedelta(seconds=1))


def test_a_firing_is_one_alert_of_pagerduty_from_trigger_to_resolve(quiet):
    with receiving(Reply(202)) as server:
        quiet.PAGERDUTY_ROUTING_KEY, quiet.PAGERDUTY_URL = "key-one", server.url
        one = firing()
        for _ in range(3):
            paging.tell(dispatch.clock())
            paging.dispatch()
        paging.acknowledge(AlarmFiring.objects.get())
        paging.dispatch()
        end(one)
        paging.tell(dispatch.clock())
        paging.dispatch()
        bodies = sent(server)
    assert [body["event_action"] for body in bodies] == ["trigger", "acknowledge", "resolve"]
    assert {body["dedup_key"] for body in bodies} == {f"backlot-alarm-{one.pk}"}
    assert {body["routing_key"] for body in bodies} == {"key-one"}
    assert bodies[0]["payload"]["summary"] == "Firing: NaN rate at 2.1 %, threshold 0.5 %"
    assert bodies[0]["payload"]["severity"] == "error"
    assert bodies[0]["payload"]["source"] == "backlot"


def test_a_second_person_is_paged_for_what_escalates_and_only_then(quiet):
    with receiving(Reply(202)) as server:
        quiet.PAGERDUTY_ROUTING_KEY, quiet.PAGERDUTY_SECOND_ROUTING_KEY = "first", "second"
        quiet.PAGERDUTY_URL = server.url
        firing()
        paging.tell(dispatch.clock())
        paging.dispatch()
        AlarmFiring.objects.update(level=2, peak=0.11)
        paging.tell(dispatch.clock())
        paging.dispatch()
        bodies = sent(server)
    assert [(body["routing_key"], body["payload"]["severity"]) for body in bodies] == [
        ("first", "error"),
        ("first", "critical"),
        ("second", "critical"),
    ]


def test_what_was_refused_is_sent_again_and_its_end_waits_for_it(quiet):
    with receiving(Reply(500), Reply(500), Reply(202)) as server:
        quiet.PAGERDUTY_ROUTING_KEY, quiet.PAGERDUTY_URL = "key", server.url
        one = firing()
        paging.tell(dispatch.clock())
        paging.dispatch()
        assert OutboxEvent.objects.get().last_error.startswith("it answered 500")
        end(one)
        paging.tell(dispatch.clock())
        OutboxEvent.objects.filter(key__contains="resolve").update(due_at=Now() - timedelta(hours=1))
        assert paging.dispatch() == 0
        for _ in range(3):
            due()
            paging.dispatch()
        actions = [body["event_action"] for body in sent(server)]
    assert actions == ["trigger", "trigger", "trigger", "resolve"]
    assert not OutboxEvent.objects.filter(dispatched_at=None).exists()


def test_a_server_that_hangs_holds_up_one_thread_and_no_second_one(quiet, monkeypatch):
    hanging, entered = threading.Event(), threading.Event()
    monkeypatch.setattr(paging, "dispatch", lambda: (entered.set(), hanging.wait(20)))
    assert paging.begin()
    assert entered.wait(20)
    assert not paging.begin()
    hanging.set()
    assert paging._sending.acquire(timeout=20)  # the first one has let go
    paging._sending.release()


def test_a_chat_and_mail_are_told_in_words(quiet):
    with receiving(Reply(200)) as server:
        quiet.ALARM_WEBHOOK_URL, quiet.ALARM_MAIL_TO = server.url, ["on-call@example.com"]
        quiet.SITE_URL = "https://backlot.example"
        one = firing()
        paging.tell(dispatch.clock())
        paging.dispatch()
        end(one)
        paging.tell(dispatch.clock())
        paging.dispatch()
        texts = [body["text"] for body in sent(server)]
    link = "<https://backlot.example/operate/alarms/not_finite/|What to do>"
    assert texts == [
        f"Firing: NaN rate at 2.1 %, threshold 0.5 % {link}",
        f"Cleared: NaN rate (worst 2.1 %) {link}",
    ]
    assert [message.subject for message in mail.outbox] == [
        "Backlot: Firing, NaN rate",
        "Backlot: Cleared, NaN rate",
    ]
    assert mail.outbox[0].to == ["on-call@example.com"]


def test_without_a_way_to_people_nothing_is_sent_and_nothing_piles_up(quiet):
    firing()
    assert paging.tell(dispatch.clock()) == 1
    assert paging.adapters() == []
    assert not OutboxEvent.objects.exists()


def test_a_local_address_is_refused_where_the_installation_does_not_allow_it(quiet):
    with receiving(Reply(202)) as server:
        quiet.ALARM_LOCAL_ADDRESSES, quiet.ALARM_WEBHOOK_URL = False, server.url
        firing()
        paging.tell(dispatch.clock())
        assert paging.dispatch() == 0
        assert server.got == []
    assert OutboxEvent.objects.get().last_error.startswith("Not sent:")
