"""/api/decisions/{id} and /api/statement over HTTP, with a key, for the caller's own organization."""

import pytest
from django.utils import timezone

from accounts import keys
from billing.settlement import settle
from tests.billing.conftest import CREDIT, UNIT, buy, new_organization


@pytest.fixture
def get(client, organization):
    _, raw = keys.create(organization, "test", ["read"], "test")

    def _get(path: str, raw: str = raw):
        return client.get(path, headers={"authorization": f"Bearer {raw}"})

    return _get


def test_a_decision_in_full(get, decide):
    decision = decide(10, subject="job:a", now=timezone.now())
    settle(
        decision.hold.pk,
        outcome="cancelled",
        units_micro=4 * UNIT,
        quantity=12,
        subject="job:a",
        reason_code="cancelled_by_user",
        at=timezone.now(),
    )
    response = get(f"/api/decisions/{decision.pk}")
    assert response.status_code == 200
    body = response.json()
    assert body["id"] == str(decision.pk)
    assert (body["object"], body["allowed"], body["code"]) == ("decision", True, None)
    assert (body["quote_micro"], body["charge_micro"], body["charge_reason"]) == (
        3 * CREDIT,
        round(1.2 * CREDIT),
        "cancelled_by_user",
    )
    assert (body["tier"], body["micro_per_unit"], body["hold_state"]) == ("free", 300_000, "captured")
    assert [layer["layer"] for layer in body["layers"]][-2:] == ["allowance", "purchased"]


def test_a_refused_decision_says_what_would_be_allowed(get, decide):
    decision = decide(60, now=timezone.now())
    body = get(f"/api/decisions/{decision.pk}").json()
    assert (body["allowed"], body["code"]) == (False, "credit_balance_exhausted")
    assert body["would_allow"] == "3.00 credits more."
    assert (body["hold_state"], body["charge_micro"]) == (None, None)


def test_another_organizations_decision_is_not_found(get, decide):
    decision = decide(1, now=timezone.now())
    _, stranger = keys.create(new_organization(), "test", ["read"], "test")
    for path in (f"/api/decisions/{decision.pk}", "/api/decisions/nonsense"):
        response = get(path, stranger)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"


def test_statement_pages(get, organization, decide):
    for number in range(3):
        buy(organization, 1 + number)
    decide(1, now=timezone.now())
    first = get("/api/statement?limit=2").json()
    assert [line["kind"] for line in first["data"]] == ["hold", "allowance"]
    assert first["has_more"] is True
    assert first["balances"]["purchased_micro"] == 6 * CREDIT
    rest = get(f"/api/statement?limit=200&after={first['last_id']}").json()
    assert [line["amount_micro"] for line in rest["data"]] == [3 * CREDIT, 2 * CREDIT, CREDIT]
    assert rest["has_more"] is False
    assert rest["data"][0]["parts"] == [{"bucket": "purchased", "amount_micro": 3 * CREDIT}]


def test_statement_is_the_callers_own(get, organization):
    buy(organization, 1)
    _, stranger = keys.create(new_organization(), "test", ["read"], "test")
    body = get("/api/statement", stranger).json()
    assert (body["data"], body["last_id"], body["balances"]["purchased_micro"]) == ([], None, 0)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "after=-1"])
def test_bad_pages_name_the_field(get, query):
    response = get(f"/api/statement?{query}")
    assert response.status_code in (400, 422)
    assert response.json()["error"]["param"] == query.partition("=")[0]


def test_without_a_key(client, db):
    assert client.get("/api/statement").status_code == 401
