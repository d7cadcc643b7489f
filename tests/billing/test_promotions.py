"""Promotion codes: once per organization, never more often than made for, and only while they are valid."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from accounts import keys
from accounts.errors import ApiError
from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import AuditEntry, User
from billing import promotions
from billing.models import PromotionCode, Redemption, Transaction
from billing.reconciliation import reconcile
from tests.billing.conftest import CREDIT, NOON, new_organization, promote, run_sql, stored


def a_code(code: str = "AUTUMN-26", **changes) -> PromotionCode:
    fields = {
        "code": code,
        "credits_micro": 50 * CREDIT,
        "credits_last_days": 30,
        "max_redemptions": 3,
        "valid_from": NOON - timedelta(days=1),
        "valid_until": NOON + timedelta(days=10),
        "author": "test",
        "reason": "for this test",
    }
    return PromotionCode.objects.create(**{**fields, **changes})


def caller_of(organization, role: str = "owner") -> Caller:
    user = User.objects.create_user(f"{role}-{organization.slug}@example.com")
    return Caller(organization, user, None, ROLE_SCOPES[role])


def refused(organization, code: str, at=NOON) -> ApiError:
    with pytest.raises(ApiError) as caught:
        promotions.redeem(caller_of(organization), code, at)
    return caught.value


def test_a_code_brings_promotional_credits_that_expire(organization):
    a_code()
    caller = caller_of(organization)
    redemption = promotions.redeem(caller, " autumn-26 ", NOON)
    assert stored(organization)["promotional"] == 50 * CREDIT
    assert redemption.transaction.kind == "promotion"
    account = redemption.transaction.entries.get(account__organization=organization).account
    assert account.expires_at == NOON + timedelta(days=30)
    entry = AuditEntry.objects.get(action="credits.grant")
    assert (entry.actor, entry.reason) == (caller.user, "Promotion code AUTUMN-26")


def test_the_second_time_changes_nothing(organization):
    a_code()
    caller = caller_of(organization)
    promotions.redeem(caller, "AUTUMN-26", NOON)
    with pytest.raises(ApiError) as caught:
        promotions.redeem(caller, "AUTUMN-26", NOON)
    assert (caught.value.code, caught.value.param) == ("already_decided", "code")
    assert stored(organization)["promotional"] == 50 * CREDIT
    assert Redemption.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"valid_from": NOON + timedelta(hours=1)}, "is valid from 2026-11-21 13:00 UTC on"),
        ({"valid_until": NOON}, "is no longer valid"),
        ({"withdrawn_at": NOON - timedelta(hours=1)}, "is no longer valid"),
    ],
)
def test_a_code_outside_its_time_brings_nothing(organization, changes, words):
    a_code(**changes)
    error = refused(organization, "AUTUMN-26")
    assert (error.code, error.param) == ("invalid_value", "code")
    assert words in error.message
    assert not Transaction.objects.filter(organization=organization).exists()


def test_an_unknown_code_brings_nothing(organization):
    assert "There is no such code" in refused(organization, "NOWHERE").message


def test_a_code_that_is_used_up_brings_nothing(organization):
    a_code(max_redemptions=1)
    other = new_organization()
    promotions.redeem(caller_of(other), "AUTUMN-26", NOON)
    assert "as often as it may be" in refused(organization, "AUTUMN-26").message
    assert stored(organization)["promotional"] == 0


def test_it_takes_the_scope_billing(organization):
    a_code()
    with pytest.raises(ApiError) as caught:
        promotions.redeem(caller_of(organization, "member"), "AUTUMN-26", NOON)
    assert caught.value.code == "insufficient_scope"
    assert not Redemption.objects.exists()


def test_the_database_refuses_one_redemption_too_many_and_credits_of_another_amount(organization):
    code = a_code(max_redemptions=1)
    promotions.redeem(caller_of(organization), "AUTUMN-26", NOON)
    other = new_organization()
    fifty, forty = (promote(other, amount, NOON + timedelta(days=30)) for amount in (50, 40))
    with pytest.raises(IntegrityError, match="was redeemed 1 times already"), transaction.atomic():
        Redemption.objects.create(promotion=code, organization=other, transaction=fifty, at=NOON)
    wider = a_code("WINTER-26")
    Redemption.objects.create(promotion=wider, organization=other, transaction=forty, at=NOON)
    with pytest.raises(DatabaseError, match="is not what its transaction brought"), transaction.atomic():
        run_sql("SELECT 1")
    connection.set_rollback(True)


def test_eight_organizations_at_once_have_three_redemptions(committed):
    a_code(max_redemptions=3)
    callers = [caller_of(new_organization()) for _ in range(8)]
    barrier = Barrier(8)

    def run(caller: Caller) -> str:
        try:
            barrier.wait(timeout=20)
            promotions.redeem(caller, "AUTUMN-26", NOON)
        except ApiError as error:
            return error.code
        finally:
            connection.close()
        return "redeemed"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(run, callers))
    assert sorted(outcomes) == ["invalid_value"] * 5 + ["redeemed"] * 3
    brought = sum(stored(caller.organization)["promotional"] for caller in callers)
    assert (Redemption.objects.count(), brought) == (3, 150 * CREDIT)
    assert reconcile().drift == ()


def test_one_organization_at_once_has_one_redemption(committed):
    a_code()
    caller = caller_of(new_organization())
    barrier = Barrier(4)

    def run(_: int) -> str:
        try:
            barrier.wait(timeout=20)
            promotions.redeem(caller, "AUTUMN-26", NOON)
        except ApiError as error:
            return error.code
        finally:
            connection.close()
        return "redeemed"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(run, range(4)))
    assert sorted(outcomes) == ["already_decided"] * 3 + ["redeemed"]
    assert stored(caller.organization)["promotional"] == 50 * CREDIT


def test_the_api_redeems_for_a_key_with_the_scopes(client, organization):
    now = timezone.now()
    a_code(valid_from=now - timedelta(days=1), valid_until=now + timedelta(days=1))
    _, raw = keys.create(organization, "billing", ("read", "generate", "billing"), "test")
    asked = {
        "path": "/api/promotions/redeem",
        "data": {"code": "autumn-26"},
        "content_type": "application/json",
        "headers": {"Authorization": f"Bearer {raw}"},
    }
    answer = client.post(**asked)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["code"], body["credits_micro"]) == ("AUTUMN-26", 50 * CREDIT)
    again = client.post(**asked)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_decided")
    assert stored(organization)["promotional"] == 50 * CREDIT
