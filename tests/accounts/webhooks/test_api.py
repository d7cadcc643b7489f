"""/api/webhooks: made, read, changed, rotated, tested and sent again by programs with the scope admin."""

import pytest

from accounts.models import WebhookDelivery, WebhookEndpoint
from accounts.webhooks import endpoints
from accounts.webhooks.kinds import KINDS
from tests.accounts.webhooks.receiver import receiving
from tests.accounts.webhooks.stage import happens, serve_all
from tests.generation.api_stage import Tenant, tenant

pytestmark = pytest.mark.django_db

NEW = {"url": "http://127.0.0.1:9/hooks", "event_types": ["video.completed"], "description": "the farm"}


@pytest.fixture
def plus() -> Tenant:
    return tenant()


def call(client, plus, method, address, body=None, status=200, **headers):
    send = getattr(client, method)
    named = {} if body is None else {"data": body, "content_type": "application/json"}
    answer = send(f"/api/webhooks{address}", headers={**plus.auth, **headers}, **named)
    assert answer.status_code == status, answer.content
    return answer.json()


def test_made_read_changed_and_removed(client, plus):
    made = call(client, plus, "post", "", NEW, 201)
    row = WebhookEndpoint.objects.get()
    assert endpoints.living_secrets(row) == [made["signing_secret"]]
    read = call(client, plus, "get", f"/{made['id']}")
    assert read == {name: value for name, value in made.items() if name != "signing_secret"}
    assert (read["enabled"], read["disabled_because"], read["object"]) == (True, None, "webhook_endpoint")
    changed = call(
        client, plus, "patch", f"/{made['id']}", {"event_types": ["video.failed"], "enabled": False}
    )
    assert (changed["event_types"], changed["enabled"], changed["url"]) == (
        ["video.failed"],
        False,
        NEW["url"],
    )
    assert changed["disabled_because"] == "owner"
    assert call(client, plus, "delete", f"/{made['id']}")["deleted"] is True
    assert call(client, plus, "get", f"/{made['id']}", status=404)["error"]["code"] == "not_found"


def test_listed_newest_first_page_by_page(client, plus):
    ids = [call(client, plus, "post", "", NEW, 201)["id"] for _ in range(3)]
    first = call(client, plus, "get", "?limit=2")
    assert ([one["id"] for one in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    second = call(client, plus, "get", f"?limit=2&after={first['last_id']}")
    assert ([one["id"] for one in second["data"]], second["has_more"]) == ([ids[0]], False)
    assert call(client, plus, "get", "/event-types")["data"] == list(KINDS)


def test_made_once_per_idempotency_key_with_its_secret_told_once(client, plus):
    first = call(client, plus, "post", "", NEW, 201, **{"Idempotency-Key": "a"})
    again = call(client, plus, "post", "", NEW, 201, **{"Idempotency-Key": "a"})
    assert again == {**first, "signing_secret": None}
    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"url": "ftp://x.example.com/"}, "url"),
        ({"event_types": ["nothing"]}, "event_types"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_bad_fields_are_named(client, plus, wrong, param):
    error = call(client, plus, "post", "", NEW | wrong, 400)["error"]
    assert error["param"] == param
    assert not WebhookEndpoint.objects.exists()


def test_rotated_tested_listed_and_sent_again(client, plus):
    with receiving() as receiver:
        made = call(client, plus, "post", "", {**NEW, "url": receiver.url}, 201)
        at = f"/{made['id']}"
        rotated = call(client, plus, "post", f"{at}/rotate", {"hours": 1}, 201)
        assert rotated["signing_secret"] not in (None, made["signing_secret"])
        sent = call(client, plus, "post", f"{at}/test", status=201)
        assert (sent["type"], sent["state"], sent["tries"]) == ("webhook.test", "pending", 0)
        happens(plus.organization)
        serve_all()
        listed = call(client, plus, "get", f"{at}/deliveries?state=delivered&limit=1")
        assert (len(listed["data"]), listed["has_more"]) == (1, True)
        read = call(client, plus, "get", f"{at}/deliveries/{sent['id']}")
        assert (read["state"], read["last_status"], read["next_try_at"]) == ("delivered", 200, None)
        assert [one["outcome"] for one in read["attempts"]] == ["accepted"]
        assert read["body"] in [body.decode() for _, _, body in receiver.got]  # two couriers: in either order
        again = call(client, plus, "post", f"{at}/deliveries/{sent['id']}/resend")
        assert again["state"] == "pending"
        serve_all()
    assert receiver.ids().count(sent["event"]) == 2
    assert WebhookDelivery.objects.get(pk=sent["id"]).attempts == 2


def test_one_that_is_off_sends_no_test(client, plus):
    made = call(client, plus, "post", "", NEW, 201)
    call(client, plus, "patch", f"/{made['id']}", {"enabled": False})
    assert call(client, plus, "post", f"/{made['id']}/test", status=409)["error"]["code"] == "not_ready"


def test_only_the_scope_admin_may(client, plus):
    from accounts import keys

    _, raw = keys.create(plus.organization, "lesser", ["read", "generate", "billing"], plus.owner)
    answer = client.get("/api/webhooks", headers={"Authorization": f"Bearer {raw}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
