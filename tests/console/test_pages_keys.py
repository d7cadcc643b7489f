"""Keys: shown once, revoked at once, and nobody else's."""

import pytest
from django.test import Client

from accounts import keys
from accounts.models import ApiKey, AuditEntry
from tests.console.people import person

pytestmark = pytest.mark.django_db

NEW = {"name": "render farm", "scopes": ["read", "generate"]}


def raw_of(html: str) -> str:
    return html.partition('id="raw-key"')[2].partition(">")[2].partition("</pre>")[0]


def test_a_new_key_is_shown_once_works_and_ends_at_once():
    client, caller = person()
    html = client.post("/keys/", NEW).content.decode()
    raw = raw_of(html)
    key = keys.find(raw)
    assert (key.organization, key.name, key.scopes) == (
        caller.organization,
        "render farm",
        ["read", "generate"],
    )
    again = client.get("/keys/").content.decode()
    assert raw not in again
    assert f"{key.prefix}…{key.last_four}" in again
    assert client.post(f"/keys/{key.pk}/revoke").headers["Location"] == "/keys/"
    assert keys.find(raw) is None
    assert "Revoked" in client.get("/keys/").content.decode()
    actions = AuditEntry.objects.filter(organization=caller.organization, target=f"api_key:{key.pk}")
    assert sorted(actions.values_list("action", flat=True)) == ["api_key.create", "api_key.revoke"]


def test_the_page_with_the_key_is_kept_by_nobody():
    client, _ = person()
    assert "no-store" in client.post("/keys/", NEW)["Cache-Control"]


@pytest.mark.parametrize(
    "fields",
    [{"name": " ", "scopes": ["read"]}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]}],
)
def test_a_key_that_can_not_be_is_refused_and_not_made(fields):
    client, caller = person()
    response = client.post("/keys/", fields)
    assert response.status_code == 400
    assert b"raw-key" not in response.content
    assert not ApiKey.objects.filter(organization=caller.organization).exists()


def test_another_organizations_key_can_not_be_revoked():
    client, _ = person()
    _, stranger = person()
    key, raw = keys.create(stranger.organization, "theirs", ["read"], stranger.user)
    assert client.post(f"/keys/{key.pk}/revoke").status_code == 404
    assert keys.find(raw) == key


def test_a_form_without_its_token_changes_nothing():
    _, caller = person()
    client = Client(enforce_csrf_checks=True)
    client.force_login(caller.user)
    assert client.post("/keys/", NEW).status_code == 403
    assert not ApiKey.objects.filter(organization=caller.organization).exists()
