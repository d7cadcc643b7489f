"""Budgets and notices over HTTP with a key: set with the scope billing, read with read or billing, never another's."""

import pytest

from accounts import keys
from billing import notices
from billing.models import Budget
from tests.billing.conftest import CREDIT, new_organization

WHOLE = {"scope": "organization", "amount_micro": 100 * CREDIT}


@pytest.fixture
def call(client, organization):
    """call(method, path, body, having="billing", of=organization)"""

    def _call(method: str, path: str, body: dict | None = None, having: str = "billing", of=organization):
        _, raw = keys.create(of, having, [having], "test")
        headers = {"authorization": f"Bearer {raw}"}
        if body is None:
            return getattr(client, method)(path, headers=headers)
        return getattr(client, method)(path, body, content_type="application/json", headers=headers)

    return _call


def test_a_budget_is_set_read_replaced_and_ended(call):
    made = call("put", "/api/budgets", WHOLE).json()
    assert (made["scope"], made["target"], made["left_micro"]) == ("organization", None, 100 * CREDIT)
    again = call("put", "/api/budgets", {**WHOLE, "amount_micro": 5, "soft_percent": 50}).json()
    assert (again["id"], again["amount_micro"], again["soft_percent"]) == (made["id"], 5, 50)
    listed = call("get", "/api/budgets", having="read").json()
    assert [one["id"] for one in listed["data"]] == [made["id"]]
    assert call("delete", f"/api/budgets/{made['id']}").status_code == 204
    assert call("get", "/api/budgets").json()["data"] == []


@pytest.mark.parametrize("having", ["read", "generate"])
def test_without_billing_nothing_is_set(call, having):
    refused = call("put", "/api/budgets", WHOLE, having=having)
    assert refused.status_code == 403
    assert not Budget.objects.exists()


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"amount_micro": -1}, "amount_micro"),
        ({"soft_percent": 0}, "soft_percent"),
        ({"scope": "key", "target": 999_999}, "target"),
        ({"scope": "member"}, "target"),
        ({"scope": "planet"}, "scope"),
    ],
)
def test_what_can_not_be_set_names_its_field(call, changes, param):
    refused = call("put", "/api/budgets", {**WHOLE, **changes})
    assert refused.status_code in (400, 422)
    assert refused.json()["error"]["param"] == param
    assert not Budget.objects.exists()


def test_another_organizations_budget_is_not_found(call):
    made = call("put", "/api/budgets", WHOLE).json()
    assert call("delete", f"/api/budgets/{made['id']}", of=new_organization()).status_code == 404
    assert Budget.objects.get().removed_at is None


def test_notices(call, organization):
    notices.tell(organization.pk, "low_balance", "1", "12 credits are left.")
    notices.tell(new_organization().pk, "low_balance", "1", "Not theirs.")
    body = call("get", "/api/notices", having="read").json()
    assert (body["unread"], [one["message"] for one in body["data"]]) == (1, ["12 credits are left."])
    assert body["has_more"] is False
