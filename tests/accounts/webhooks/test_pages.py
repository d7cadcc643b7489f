"""The pages of webhooks: a secret shown once, a delivery that can be read and sent again, and nobody but owners."""

import pytest

from accounts.models import AuditEntry, WebhookDelivery, WebhookEndpoint
from accounts.webhooks import endpoints, signing
from tests.accounts.webhooks.receiver import Reply, receiving
from tests.accounts.webhooks.stage import endpoint, happens, serve_all
from tests.console.people import join, person, signed_in

pytestmark = pytest.mark.django_db

NEW = {"url": "http://127.0.0.1:9/hooks", "description": "the farm", "event_types": ["video.completed"]}


def secret_of(html: str) -> str:
    return html.partition('id="raw-secret"')[2].partition(">")[2].partition("</pre>")[0]


def test_a_new_webhook_shows_its_secret_once():
    client, caller = person()
    answer = client.post("/webhooks/", NEW)
    secret = secret_of(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    made = WebhookEndpoint.objects.get(organization=caller.organization)
    assert endpoints.living_secrets(made) == [secret]
    assert (made.url, made.description, made.event_types) == (NEW["url"], "the farm", ["video.completed"])
    assert made.created_by == caller.user
    for address in ("/webhooks/", f"/webhooks/{made.pk}/"):
        html = client.get(address).content.decode()
        assert secret not in html
        assert NEW["url"] in html
    assert AuditEntry.objects.filter(action="webhook.create", target=f"webhook:{made.pk}").count() == 1


@pytest.mark.parametrize(
    "wrong",
    [{"url": "ftp://example.com/"}, {"event_types": []}, {"event_types": ["x"]}, {"description": "x" * 201}],
)
def test_one_that_can_not_be_is_refused_and_keeps_what_was_written(wrong):
    client, caller = person()
    answer = client.post("/webhooks/", NEW | wrong)
    assert answer.status_code == 400
    assert b"Nothing was changed" in answer.content
    assert (NEW | wrong)["url"] in answer.content.decode()
    assert not WebhookEndpoint.objects.filter(organization=caller.organization).exists()


def test_change_rotate_switch_and_remove():
    client, caller = person()
    made, first = endpoint(caller.organization, NEW["url"])
    at = f"/webhooks/{made.pk}/"
    answer = client.post(at, NEW | {"event_types": ["video.failed", "credits.low"]})
    assert answer.headers["Location"] == at
    made.refresh_from_db()
    assert made.event_types == ["video.failed", "credits.low"]
    second = secret_of(client.post(at + "rotate", {"hours": "24"}).content.decode())
    assert endpoints.living_secrets(made) == [second, first]
    assert client.post(at + "rotate", {"hours": "-1"}).status_code == 400
    client.post(at + "switch", {"on": "0"})
    made.refresh_from_db()
    assert (made.state, made.disabled_because) == ("disabled", "owner")
    assert b"Switch on" in client.get(at).content
    client.post(at + "switch", {"on": "1"})
    made.refresh_from_db()
    assert made.state == "enabled"
    assert client.post(at + "remove").headers["Location"] == "/webhooks/"
    assert client.get(at).status_code == 404


def test_a_test_event_its_delivery_and_sending_it_again():
    client, caller = person()
    with receiving(Reply(500, b"<b>broken</b>"), Reply(200, b"thanks")) as receiver:
        made, _ = endpoint(caller.organization, receiver.url)
        at = client.post(f"/webhooks/{made.pk}/test").headers["Location"]
        assert "Not tried yet" in client.get(at).content.decode()
        serve_all()
        html = client.get(at).content.decode()
        assert "&lt;b&gt;broken&lt;/b&gt;" in html
        assert "1 of 9 so far" in html
        assert client.post(at + "resend").headers["Location"] == at
        serve_all()
    html = client.get(at).content.decode()
    assert "thanks" in html
    assert "It was accepted" in html
    assert WebhookDelivery.objects.get().attempts == 2


def test_the_list_of_deliveries_by_state_and_page(monkeypatch):
    from accounts.webhooks import pages

    monkeypatch.setattr(pages, "ON_A_PAGE", 2)
    client, caller = person()
    made, _ = endpoint(caller.organization, NEW["url"])
    ids = [happens(caller.organization).id for _ in range(3)]
    at = f"/webhooks/{made.pk}/"
    first = client.get(at).content.decode()
    assert [name[:13] in first for name in ids] == [False, True, True]
    older = WebhookDelivery.objects.get(event=ids[1]).pk
    assert f"before={older}" in first
    assert [name[:13] in client.get(f"{at}?before={older}").content.decode() for name in ids] == [
        True,
        False,
        False,
    ]
    assert "Nothing was sent yet" in client.get(at + "?state=failed").content.decode()


def test_one_that_was_switched_off_by_itself_says_why():
    client, caller = person()
    made, _ = endpoint(caller.organization, NEW["url"])
    endpoints.switch_off_by_itself(made, endpoints.Cause.GONE, "gone")
    assert "It answered 410 Gone" in client.get(f"/webhooks/{made.pk}/").content.decode()
    client.post(f"/webhooks/{made.pk}/test")
    assert WebhookDelivery.objects.count() == 0


@pytest.mark.parametrize("role", ["member", "billing"])
def test_owners_alone(role):
    _, caller = person()
    made, _ = endpoint(caller.organization, NEW["url"])
    client = signed_in(join(caller.organization, role))
    assert client.get("/webhooks/").status_code == 403
    assert client.post(f"/webhooks/{made.pk}/remove").status_code == 403
    assert "/webhooks/" not in client.get("/").content.decode()


def test_a_secret_is_as_the_standard_wants_it():
    secret = signing.new_secret()
    assert secret.startswith("whsec_")
    assert len(secret) == 50  # 32 bytes in base64 behind the prefix
