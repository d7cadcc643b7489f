"""/api/keys: made, listed, rotated and revoked with a key of the scope admin; never mightier than who asks."""

import hashlib

import pytest

from accounts import keys
from accounts.models import ApiKey, AuditEntry, IdempotentCall
from tests.generation.api_stage import Tenant, tenant
from tests.generation.test_api_errors import error_of

pytestmark = pytest.mark.django_db
WANTED = {"name": "laptop", "scopes": ["generate", "read"]}


@pytest.fixture
def plus() -> Tenant:
    return tenant("plus")


def send(client, method: str, address: str, who, body: dict | None = None, **headers: str):
    options = {"content_type": "application/json"} if body is not None else {}
    sent = {"data": body, **options} if body is not None else {}
    return getattr(client, method)(address, **sent, headers={**who, **headers})


def of(plus: Tenant, *scopes: str) -> dict[str, str]:
    _, raw = keys.create(plus.organization, "-".join(scopes), scopes, plus.owner)
    return {"Authorization": f"Bearer {raw}"}


def test_a_key_is_told_once_works_and_is_audited(client, plus):
    made = send(client, "post", "/api/keys", plus.auth, WANTED)
    assert made.status_code == 201
    body = made.json()
    assert (body["object"], body["name"], body["scopes"], body["live"]) == (
        *("api_key", "laptop"),
        *(["read", "generate"], True),
    )
    assert body["secret"].startswith(body["starts_with"])
    assert body["secret"].endswith(body["ends_with"])
    row = ApiKey.objects.get(pk=body["id"])
    assert row.digest == hashlib.sha256(body["secret"].encode()).hexdigest()
    mine = {"Authorization": f"Bearer {body['secret']}"}
    assert client.get("/v1/models", headers=mine).status_code == 200
    read = client.get(f"/api/keys/{body['id']}", headers=plus.auth).json()
    assert "secret" not in read
    assert read["last_used_at"] is not None
    entry = AuditEntry.objects.get(action="api_key.create", target=f"api_key:{row.pk}")
    assert (entry.actor, entry.actor_name) == (None, f"API key {plus.key.prefix}")


@pytest.mark.parametrize("scopes", [["read"], ["generate"], ["billing"], ["read", "generate", "billing"]])
def test_without_the_scope_admin_nothing_about_keys_is_told_or_done(client, plus, scopes):
    who, before = of(plus, *scopes), ApiKey.objects.count()
    for method, address, body in (
        ("get", "/api/keys", None),
        ("post", "/api/keys", WANTED),
        ("get", f"/api/keys/{plus.key.pk}", None),
        ("post", f"/api/keys/{plus.key.pk}/rotate", {"hours": 1}),
        ("delete", f"/api/keys/{plus.key.pk}", None),
    ):
        assert error_of(send(client, method, address, who, body))["code"] == "insufficient_scope"
    assert ApiKey.objects.count() == before
    assert keys.find(plus.raw) is not None


def test_a_key_gives_no_scope_that_it_does_not_hold(client, plus):
    admin, before = of(plus, "admin", "read"), ApiKey.objects.count()
    refused = error_of(send(client, "post", "/api/keys", admin, WANTED))
    assert (refused["code"], refused["param"]) == ("insufficient_scope", "scopes")
    assert "generate" in refused["message"]
    rotated = send(client, "post", f"/api/keys/{plus.key.pk}/rotate", admin, {"hours": 0})
    assert error_of(rotated)["code"] == "insufficient_scope"
    assert ApiKey.objects.count() == before
    assert send(client, "post", "/api/keys", admin, {"name": "r", "scopes": ["read"]}).status_code == 201


def test_keys_are_listed_page_by_page_and_by_state(client, plus):
    made = [keys.create(plus.organization, f"k{n}", ["read"], plus.owner)[0] for n in range(4)]
    keys.revoke(made[0], plus.owner, "test")
    tenant("pro")  # whose keys are nobody else's business
    first = client.get("/api/keys?limit=3", headers=plus.auth).json()
    assert [key["name"] for key in first["data"]] == ["k3", "k2", "k1"]
    assert (first["has_more"], first["last_id"]) == (True, made[1].pk)
    rest = client.get(f"/api/keys?limit=3&after={first['last_id']}", headers=plus.auth).json()
    assert [key["name"] for key in rest["data"]] == ["k0", "test"]
    assert rest["has_more"] is False
    ended = client.get("/api/keys?state=ended", headers=plus.auth).json()["data"]
    assert [(key["name"], key["live"]) for key in ended] == [("k0", False)]
    live = client.get("/api/keys?state=live", headers=plus.auth).json()["data"]
    assert [key["name"] for key in live] == ["k3", "k2", "k1", "test"]


def test_a_revoked_key_ends_at_once_and_another_tenants_is_not_found(client, plus):
    key, raw = keys.create(plus.organization, "old", ["read"], plus.owner)
    stranger = tenant("pro")
    for method in ("get", "delete"):
        refused = send(client, method, f"/api/keys/{key.pk}", stranger.auth)
        assert error_of(refused)["code"] == "not_found"
    assert keys.find(raw) is not None
    ended = send(client, "delete", f"/api/keys/{key.pk}", plus.auth).json()
    assert (ended["id"], ended["live"]) == (key.pk, False)
    assert keys.find(raw) is None
    again = send(client, "delete", f"/api/keys/{key.pk}", plus.auth).json()
    assert again["revoked_at"] == ended["revoked_at"]


def test_a_rotated_key_has_a_successor_and_an_end(client, plus):
    key, raw = keys.create(plus.organization, "old", ["read"], plus.owner)
    made = send(client, "post", f"/api/keys/{key.pk}/rotate", plus.auth, {"hours": 2})
    assert made.status_code == 201
    assert (made.json()["replaces"], made.json()["name"]) == (key.pk, "old")
    assert keys.find(raw) is not None
    assert keys.find(made.json()["secret"]) is not None
    again = send(client, "post", f"/api/keys/{key.pk}/rotate", plus.auth, {"hours": 2})
    assert error_of(again)["code"] == "not_ready"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "x" * 81, "scopes": ["read"]}, "name"),
        ({"name": "x\x00", "scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "x", "scopes": ["read"], "colour": "red"}, "colour"),
        ({"scopes": ["read"]}, "name"),
    ],
)
def test_a_bad_key_is_refused_by_field(client, plus, body, param):
    before = ApiKey.objects.count()
    assert error_of(send(client, "post", "/api/keys", plus.auth, body))["param"] == param
    assert ApiKey.objects.count() == before


# Idempotency-Key


def test_the_same_idempotency_key_makes_one_key_and_never_tells_its_secret_again(client, plus):
    first = send(client, "post", "/api/keys", plus.auth, WANTED, **{"Idempotency-Key": "k1"})
    again = send(client, "post", "/api/keys", plus.auth, WANTED, **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == {**first.json(), "secret": None}
    assert ApiKey.objects.filter(organization=plus.organization, name="laptop").count() == 1
    stored = IdempotentCall.objects.get(organization=plus.organization)
    assert first.json()["secret"] not in str(stored.answer)
    other = send(
        client, "post", "/api/keys", plus.auth, {**WANTED, "name": "desk"}, **{"Idempotency-Key": "k1"}
    )
    assert error_of(other)["code"] == "idempotency_key_reused"
    assert not ApiKey.objects.filter(name="desk").exists()


def test_a_refused_call_leaves_its_idempotency_key_free(client, plus):
    admin = of(plus, "admin", "read")
    key = {"Idempotency-Key": "k2"}
    assert send(client, "post", "/api/keys", admin, {**WANTED, "name": " "}, **key).status_code == 403
    assert send(client, "post", "/api/keys", plus.auth, {**WANTED, "name": " "}, **key).status_code == 400
    assert send(client, "post", "/api/keys", plus.auth, WANTED, **key).status_code == 201


def test_idempotency_keys_are_an_organizations_own(client, plus):
    other = tenant("pro")
    key = {"Idempotency-Key": "same"}
    made = [send(client, "post", "/api/keys", who.auth, WANTED, **key).json()["id"] for who in (plus, other)]
    assert len(set(made)) == 2


@pytest.mark.parametrize("key", ["", " x", "x" * 256, "ü"])
def test_a_bad_idempotency_key_is_refused(client, plus, key):
    refused = send(client, "post", "/api/keys", plus.auth, WANTED, **{"Idempotency-Key": key})
    assert error_of(refused)["param"] == "Idempotency-Key"
    assert ApiKey.objects.filter(organization=plus.organization).count() == 1
