"""Telling people: PagerDuty Events v2, a Slack-style webhook, and mail, each an event of the outbox of its own.

A firing is one alert at each of them: `dedup_key` names it, so that what is sent twice is one alert there. What ends an
alert waits until its beginning has been told.
"""

import asyncio
import json
import logging
import smtplib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.db.models import F, Q

from accounts import outbox
from accounts.models import OutboxEvent
from accounts.webhooks import sending
from accounts.webhooks.sending import Ways
from console.alarms.policy.catalog import BY_NAME
from console.models import AlarmFiring, AlarmSilence, IncidentFiring

logger = logging.getLogger(__name__)

TRIGGER, ESCALATE, ACKNOWLEDGE, RESOLVE = "trigger", "escalate", "acknowledge", "resolve"
PAGERDUTY, SECOND, SLACK, MAIL = "alarm.pagerduty", "alarm.pagerduty_second", "alarm.slack", "alarm.mail"
MOST_AT_ONCE = 20
MARK = {TRIGGER: "Firing", ESCALATE: "Worse", ACKNOWLEDGE: "Acknowledged", RESOLVE: "Cleared"}

_sending = threading.Lock()


@dataclass(frozen=True)
class Adapter:
    """A way to people: its outbox topic, what pages call it, and where it leads (never a secret)."""

    topic: str
    name: str
    leads_to: str


def adapters() -> list[Adapter]:
    """What is configured; empty: an alarm is seen on its page alone."""
    found = []
    if settings.PAGERDUTY_ROUTING_KEY:
        found.append(Adapter(PAGERDUTY, "PagerDuty", "the on-call service"))
    if settings.PAGERDUTY_SECOND_ROUTING_KEY:
        found.append(Adapter(SECOND, "PagerDuty, second person", "alarms that escalated"))
    if settings.ALARM_WEBHOOK_URL:
        found.append(Adapter(SLACK, "Chat webhook", "a channel"))
    if settings.ALARM_MAIL_TO:
        found.append(Adapter(MAIL, "E-mail", ", ".join(settings.ALARM_MAIL_TO)))
    return found


def tell(now: datetime) -> int:
    """Emit what people have not been told yet; how many firings. In the caller's transaction, two queries when quiet.

    A silenced firing is told when its silence ends, if it lasts; what was told is resolved, silence or not.
    """
    silences = AlarmSilence.objects.filter(removed_at=None, ends_at__gt=now)
    silent = set(silences.values_list("alarm_id", "scope"))
    told = 0
    untold = Q(cleared_at=None, told_level__lt=F("level")) | Q(cleared_at__isnull=False, told_level__gt=0)
    for firing in AlarmFiring.objects.select_for_update(no_key=True).filter(untold).order_by("pk"):
        if firing.cleared_at is None:
            if {(firing.alarm_id, ""), (firing.alarm_id, firing.scope)} & silent:
                continue
            _emit(firing, ESCALATE if firing.told_level else TRIGGER)
            firing.told_level = firing.level
        else:
            _emit(firing, RESOLVE)
            firing.told_level = 0
        firing.save(update_fields=["told_level"])
        told += 1
    return told


def acknowledge(firing: AlarmFiring) -> None:
    """Tell everywhere that somebody has it; in the caller's transaction."""
    if firing.told_level:
        _emit(firing, ACKNOWLEDGE)


def _emit(firing: AlarmFiring, action: str) -> None:
    for adapter in adapters():
        if adapter.topic == SECOND and not (firing.level > 1 or action == RESOLVE):
            continue
        key = f"{firing.pk}:{action}:{firing.level}"
        outbox.emit(adapter.topic, key, payload(firing, action))


def payload(firing: AlarmFiring, action: str) -> dict:
    """What is told, in words without prompts, people or secrets."""
    alarm = BY_NAME[firing.alarm_id]
    where = f" in {firing.scope}" if firing.scope else ""
    return {
        "firing": firing.pk,
        "action": action,
        "title": f"{alarm.title}{where}",
        "severity": alarm.pages[min(firing.level, 2) - 1],
        "value": alarm.words(firing.peak),
        "threshold": alarm.words(firing.threshold),
        "alarm": alarm.name,
        "scope": firing.scope,
        "opened_at": firing.opened_at.isoformat(),
        "link": _link(firing),
    }


def _link(firing: AlarmFiring) -> str:
    """The page of its incident, where what to do about it runs in place."""
    if not settings.SITE_URL:
        return ""
    found = IncidentFiring.objects.filter(firing=firing).values_list("incident_id", flat=True).first()
    page = f"/operate/incidents/{found}/" if found else f"/operate/alarms/{firing.alarm_id}/"
    return f"{settings.SITE_URL}{page}"


def begin() -> bool:
    """Send what is due in a thread of its own, so that a server that hangs holds up nothing else of this process.

    False where one is at it already. It is a daemon: what it had not recorded is sent again.
    """
    if not _sending.acquire(blocking=False):
        return False
    threading.Thread(target=_send, name="alarm-pager", daemon=True).start()
    return True


def _send() -> None:
    try:
        dispatch()
    except Exception:
        logger.exception("people could not be told of alarms")
    finally:
        _sending.release()
        connection.close()


def dispatch() -> int:
    """Send what is due; how many were taken."""
    ways = Ways(settings.ALARM_LOCAL_ADDRESSES, sending.resolve, sending.dial, sending.tls)
    handlers: dict[str, Callable[[OutboxEvent], None]] = {
        PAGERDUTY: lambda event: _pagerduty(event, settings.PAGERDUTY_ROUTING_KEY, ways),
        SECOND: lambda event: _pagerduty(event, settings.PAGERDUTY_SECOND_ROUTING_KEY, ways),
        SLACK: lambda event: _slack(event, ways),
        MAIL: _mail,
    }
    return outbox.dispatch(MOST_AT_ONCE, handlers)


def _pagerduty(event: OutboxEvent, routing_key: str, ways: Ways) -> None:
    """Events API v2: 202 is taken; an escalation is a trigger with the same key and a higher severity."""
    told = _in_order(event)
    action = TRIGGER if told["action"] == ESCALATE else told["action"]
    body = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": f"backlot-alarm-{told['firing']}",
    }
    if action == TRIGGER:
        body |= {
            "client": "Backlot",
            "payload": {
                "summary": _sentence(told),
                "source": told["scope"] or "backlot",
                "severity": told["severity"],
                "timestamp": told["opened_at"],
                "component": told["alarm"],
                "custom_details": {"value": told["value"], "threshold": told["threshold"]},
            },
        }
        if told["link"]:
            body["links"] = [{"href": told["link"], "text": "What to do"}]
    _post(settings.PAGERDUTY_URL, body, ways)


def _slack(event: OutboxEvent, ways: Ways) -> None:
    """An incoming webhook: one line of text, with the page behind it."""
    told = _in_order(event)
    link = f" <{told['link']}|What to do>" if told["link"] else ""
    _post(settings.ALARM_WEBHOOK_URL, {"text": f"{_sentence(told)}{link}"}, ways)


def _mail(event: OutboxEvent) -> None:
    told = _in_order(event)
    lines = [_sentence(told), f"Since {told['opened_at']}.", told["link"]]
    try:
        send_mail(
            f"Backlot: {MARK[told['action']]}, {told['title']}",
            "\n\n".join(filter(None, lines)),
            None,
            settings.ALARM_MAIL_TO,
        )
    except (smtplib.SMTPException, OSError) as problem:
        raise outbox.NotDelivered(f"mail: {problem}") from problem


def _sentence(told: dict) -> str:
    if told["action"] == RESOLVE:
        return f"Cleared: {told['title']} (worst {told['value']})"
    return f"{MARK[told['action']]}: {told['title']} at {told['value']}, threshold {told['threshold']}"


def _in_order(event: OutboxEvent) -> dict:
    """What to tell. Whatever was told before of this firing goes first, so that nothing is opened after its end."""
    waiting = OutboxEvent.objects.filter(
        topic=event.topic,
        key__startswith=f"{event.payload['firing']}:",
        pk__lt=event.pk,
        dispatched_at=None,
        parked_at=None,
    )
    if waiting.exists():
        raise outbox.NotDelivered("what was to be told before has not been taken yet")
    return event.payload


def _post(url: str, body: dict, ways: Ways) -> None:
    answer = asyncio.run(sending.post(url, {}, json.dumps(body), ways))
    if answer.outcome != "accepted":
        said = f"it answered {answer.status}: {answer.snippet[:200]}" if answer.status else answer.detail
        raise outbox.NotDelivered(said)
