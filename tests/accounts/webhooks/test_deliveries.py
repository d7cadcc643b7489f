"""From an event to its deliveries: told, tried again, given up, switched off, and told again by hand."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from openai import OpenAI

from accounts.errors import ApiError
from accounts.models import (
    AuditEntry,
    OperationalEvent,
    OutboxEvent,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from accounts.webhooks import endpoints, events, rounds, schedule, upkeep
from tests.accounts.webhooks.receiver import Reply, receiving
from tests.accounts.webhooks.stage import body_of, endpoint, happens, lease_runs_out, make_due, serve_all

pytestmark = pytest.mark.django_db


def unwrapped(sent, secret):
    _, headers, body = sent
    client = OpenAI(api_key="none", webhook_secret=secret)
    return client.webhooks.unwrap(body, headers)


@pytest.mark.parametrize("kind", ["video.completed", "video.failed", "completion.completed", "credits.low"])
def test_the_stock_client_unwraps_what_arrives(organization, kind):
    with receiving() as receiver:
        _, secret = endpoint(organization, receiver.url, kind)
        happens(organization, kind, id="video_1")
        assert serve_all() == 1
    (sent,) = receiver.got
    event = unwrapped(sent, secret)
    stored = WebhookEvent.objects.get()
    assert (event.type, event.id, event.object) == (kind, stored.id, "event")
    assert event.data.id == "video_1"
    assert sent[1]["webhook-id"] == stored.id
    assert sent[2].decode() == stored.body
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.last_status) == ("delivered", 1, 200)
    attempt = WebhookAttempt.objects.get()
    assert (attempt.outcome, attempt.status, attempt.snippet, attempt.number) == ("accepted", 200, "ok", 1)


def test_a_wrong_secret_or_another_body_is_not_accepted(organization):
    with receiving() as receiver:
        _, secret = endpoint(organization, receiver.url)
        happens(organization)
        serve_all()
    path, headers, body = receiver.got[0]
    with pytest.raises(Exception, match="signature"):
        unwrapped((path, headers, body), "whsec_" + "A" * 43 + "=")
    with pytest.raises(Exception, match="signature"):
        unwrapped((path, headers, body + b" "), secret)


def test_only_who_listens_is_told_and_nobody_elses_organization(organization, stranger):
    from accounts import organizations

    theirs = organizations.create("Other", "plus", stranger)
    with receiving() as mine, receiving() as other:
        endpoint(organization, mine.url, "video.failed")
        endpoint(theirs, other.url, "video.completed")
        assert happens(organization, "video.completed") is None
        happens(organization, "video.failed")
        assert serve_all() == 1
    assert [body_of(sent)["type"] for sent in mine.got] == ["video.failed"]
    assert other.got == []


def test_the_same_thing_told_twice_is_one_event(organization):
    endpoint(organization, "http://127.0.0.1:9/")
    event = happens(organization)
    told = OutboxEvent.objects.get(topic="video.completed")
    assert events.publish(told, "video.completed", {"id": "other"}) == event
    assert (WebhookEvent.objects.count(), WebhookDelivery.objects.count()) == (1, 1)


def test_nine_tries_over_three_days_with_one_id_and_then_it_is_off(organization):
    with receiving(Reply(500, b"out of order")) as receiver:
        made, secret = endpoint(organization, receiver.url)
        event = happens(organization)
        waits = []
        for _ in range(9):
            make_due()
            assert serve_all() == 1
            delivery = WebhookDelivery.objects.get()
            waits.append(delivery.due_at - timezone.now())
        assert serve_all() == 0
    assert receiver.ids() == [event.id] * 9
    for sent in receiver.got:
        assert unwrapped(sent, secret).id == event.id
    assert (delivery.state, delivery.tries, delivery.last_status) == ("failed", 9, 500)
    for wait, usual in zip(waits[:8], schedule.WAITS, strict=True):
        assert usual * 0.9 - timedelta(seconds=2) <= wait <= usual * 1.1
    made.refresh_from_db()
    assert (made.state, made.disabled_because) == ("disabled", "failing")
    told = OutboxEvent.objects.get(topic=endpoints.DISABLED_TOPIC)
    assert (told.organization_id, told.payload["because"]) == (organization.pk, "failing")
    entry = AuditEntry.objects.get(action="webhook.switch")
    assert (entry.actor_name, entry.after["state"]) == ("webhooks", "disabled")


def test_switched_on_again_one_more_failure_does_not_switch_it_off(organization):
    with receiving(Reply(500)) as receiver:
        made, _ = endpoint(organization, receiver.url)
        happens(organization)
        for _ in range(9):
            make_due()
            serve_all()
        on = endpoints.switch(organization, made.pk, True, "test")
        events.resend(on, WebhookDelivery.objects.get().pk)
        assert serve_all() == 1
    made.refresh_from_db()
    assert (made.state, WebhookDelivery.objects.get().state) == ("enabled", "failed")


def test_the_waits_add_up_to_three_days():
    assert len(schedule.WAITS) == 8
    assert schedule.wait_after(9, 0.5) is None
    for chance in (0, 0.5, 1):
        whole = sum((schedule.wait_after(tries, chance) for tries in range(1, 9)), timedelta())
        assert timedelta(hours=64) < whole < timedelta(hours=79)
    assert schedule.wait_after(1, 0.5) == timedelta(seconds=5)


def test_one_that_took_something_meanwhile_stays_on(organization):
    with receiving(Reply(500)) as receiver:
        made, _ = endpoint(organization, receiver.url)
        happens(organization)
        for _ in range(8):
            make_due()
            serve_all()
        WebhookEndpoint.objects.update(accepted_at=timezone.now())
        make_due()
        assert serve_all() == 1
    made.refresh_from_db()
    assert (made.state, WebhookDelivery.objects.get().state) == ("enabled", "failed")


def test_410_switches_off_at_once_and_nothing_more_is_sent(organization):
    with receiving(Reply(410)) as receiver:
        made, _ = endpoint(organization, receiver.url)
        for _ in range(6):
            happens(organization)
        serve_all()
        make_due()
        assert serve_all() == 0
    made.refresh_from_db()
    assert (made.state, made.disabled_because) == ("disabled", "gone")
    assert len(receiver.got) <= rounds.GANG
    assert OutboxEvent.objects.filter(topic=endpoints.DISABLED_TOPIC).count() == 1
    assert happens(organization) is None


def test_what_waited_is_sent_when_it_is_switched_on_again(organization):
    with receiving() as receiver:
        made, _ = endpoint(organization, receiver.url)
        happens(organization)
        old = happens(organization)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                "UPDATE accounts_webhookdelivery SET created_at = now() - interval '4 days' WHERE event_id = %s",
                [old.id],
            )
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        endpoints.switch(organization, made.pk, False, "test")
        assert serve_all() == 0
        endpoints.switch(organization, made.pk, True, "test")
        assert serve_all() == 1
    assert sorted(WebhookDelivery.objects.values_list("state", flat=True)) == ["delivered", "failed"]


def test_a_rotated_secret_signs_beside_the_new_one_until_it_ends(organization):
    with receiving() as receiver:
        made, old = endpoint(organization, receiver.url)
        _, new = endpoints.rotate(organization, made.pk, 24, "test")
        happens(organization)
        serve_all()
        made.secrets.filter(ends_at__isnull=False).update(ends_at=timezone.now() - timedelta(seconds=1))
        happens(organization)
        serve_all()
    both, only_new = receiver.got
    assert len(both[1]["webhook-signature"].split()) == 2
    assert unwrapped(both, old).id == unwrapped(both, new).id
    assert len(only_new[1]["webhook-signature"].split()) == 1
    assert unwrapped(only_new, new)
    with pytest.raises(Exception, match="signature"):
        unwrapped(only_new, old)


def test_rotated_at_once_the_old_secret_signs_nothing_more(organization):
    made, old = endpoint(organization, "http://127.0.0.1:9/")
    _, new = endpoints.rotate(organization, made.pk, 0, "test")
    assert endpoints.living_secrets(made) == [new]
    for hours in (-1, 169):
        with pytest.raises(ApiError, match="invalid_value"):
            endpoints.rotate(organization, made.pk, hours, "test")


def test_the_secret_lies_in_the_database_encrypted_and_needs_its_key(organization, settings):
    with receiving() as receiver:
        made, secret = endpoint(organization, receiver.url)
        stored = made.secrets.get()
        assert secret.removeprefix("whsec_")[:20] not in stored.sealed
        key = settings.SECRET_KEY
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another one", [key]
        assert endpoints.living_secrets(made) == [secret]
        settings.SECRET_KEY_FALLBACKS = []
        happens(organization)
        assert serve_all() == 1
    assert receiver.got == []
    attempt = WebhookAttempt.objects.get()
    assert (attempt.outcome, "Rotate it" in attempt.detail) == ("forbidden", True)
    assert OperationalEvent.objects.filter(kind="webhook.secret_unreadable").exists()


def test_a_test_event_goes_to_that_endpoint_alone(organization):
    with receiving() as receiver, receiving() as other:
        made, secret = endpoint(organization, receiver.url, "invoice.issued")
        endpoint(organization, other.url)
        events.test(made, timezone.now())
        serve_all()
    assert unwrapped(receiver.got[0], secret).type == "webhook.test"
    assert other.got == []


def test_a_delivery_is_sent_again_under_its_id(organization):
    with receiving(Reply(200), Reply(500)) as receiver:
        made, _ = endpoint(organization, receiver.url)
        event = happens(organization)
        serve_all()
        delivery = WebhookDelivery.objects.get()
        events.resend(made, delivery.pk)
        serve_all()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts, delivery.last_status) == ("failed", 2, 500)
    made.refresh_from_db()
    assert made.state == "enabled"
    assert receiver.ids() == [event.id] * 2
    off = endpoints.switch(organization, made.pk, False, "test")
    with pytest.raises(ApiError, match="not_ready"):
        events.resend(off, delivery.pk)


def test_a_removed_endpoint_is_sent_nothing_and_keeps_no_secret(organization):
    with receiving() as receiver:
        made, _ = endpoint(organization, receiver.url)
        happens(organization)
        endpoints.remove(organization, made.pk, "test")
        assert serve_all() == 0
    assert receiver.got == []
    assert made.secrets.count() == 0
    with pytest.raises(ApiError, match="not_found"):
        endpoints.find(organization, made.pk)


def test_while_it_fails_it_is_tried_one_at_a_time(organization):
    with receiving(Reply(500, hang_s=0.05)) as receiver:
        endpoint(organization, receiver.url)
        for _ in range(6):
            happens(organization)
        serve_all()
        assert (len(receiver.got), receiver.busiest) == (6, 4)
        receiver.busiest = 0
        make_due()
        serve_all()
    assert (len(receiver.got), receiver.busiest) == (12, 1)


def test_who_lost_the_lease_writes_nothing_and_its_message_is_sent_again(organization):
    with receiving() as receiver:
        made, _ = endpoint(organization, receiver.url)
        happens(organization)
        (stalled,) = rounds.claim(10)
        (message,) = rounds.take(stalled)
        assert rounds.claim(10) == []
        lease_runs_out()
        assert serve_all() == 1
        late = rounds.Answer("declined", 500)
        assert rounds.record(stalled, message.attempt_id, late, 0.5) is False
        assert rounds.take(stalled) == []
        rounds.release(stalled)
    assert [one.outcome for one in WebhookAttempt.objects.order_by("number")] == ["interrupted", "accepted"]
    assert WebhookDelivery.objects.get().state == "delivered"
    assert OperationalEvent.objects.filter(kind="webhook.lease_lost").count() == 1


def test_what_kills_its_sender_again_and_again_is_given_up(organization):
    made, _ = endpoint(organization, "http://127.0.0.1:9/")
    happens(organization)
    WebhookDelivery.objects.update(attempts=rounds.MOST_ATTEMPTS)
    assert serve_all() == 0
    assert WebhookDelivery.objects.get().state == "failed"
    assert OperationalEvent.objects.filter(kind="webhook.given_up").exists()


def test_ten_endpoints_and_no_more(organization):
    for number in range(endpoints.MOST_ENDPOINTS):
        endpoint(organization, f"http://127.0.0.1:9/{number}")
    with pytest.raises(ApiError, match="may have 10"):
        endpoint(organization, "http://127.0.0.1:9/")


def test_the_production_rule_holds_when_an_address_is_entered(organization, settings):
    settings.WEBHOOK_LOCAL_ADDRESSES = False
    for url in (
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://example.com:22/",
        "",
    ):
        with pytest.raises(ApiError, match="can't be used"):
            endpoint(organization, url)
    made, _ = endpoint(organization, "https://example.com/hooks")
    with pytest.raises(ApiError, match="can't be used"):
        endpoints.change(organization, made.pk, endpoints.Wanted(url="https://10.0.0.1/"), "test")


def test_the_database_keeps_what_was_told_and_what_came_of_it(organization):
    with receiving() as receiver:
        made, _ = endpoint(organization, receiver.url)
        happens(organization)
        serve_all()
    for query in (
        "UPDATE accounts_webhookevent SET body = '{}'",
        "UPDATE accounts_webhookattempt SET outcome = 'declined'",
        "UPDATE accounts_webhookdelivery SET endpoint_id = endpoint_id + 1",
        "UPDATE accounts_webhookendpoint SET fence = fence - 1",
        "UPDATE accounts_webhookendpoint SET organization_id = organization_id + 1",
        "UPDATE accounts_webhooksecret SET sealed = 'x'",
        "UPDATE accounts_webhookendpoint SET state = 'disabled'",
        "UPDATE accounts_webhookendpoint SET event_types = '{}'",
        "UPDATE accounts_webhookdelivery SET state = 'pending'",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(query)


def test_what_is_older_than_thirty_days_is_forgotten(organization):
    with receiving() as receiver:
        made, _ = endpoint(organization, receiver.url)
        happens(organization)
        happens(organization)
        serve_all()
        endpoints.remove(organization, made.pk, "test")
    assert upkeep.forget(timezone.now() + timedelta(days=29)) == 0
    assert upkeep.forget(timezone.now() + timedelta(days=31)) == 2
    left = (WebhookEvent, WebhookDelivery, WebhookAttempt, WebhookEndpoint)
    assert [model.objects.count() for model in left] == [0, 0, 0, 0]
