"""Prices and promotion codes: previewed, scheduled and taken back; made, redeemed and switched off."""

from datetime import UTC, timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts.errors import ApiError
from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import Approval, AuditEntry
from billing import price_preview, prices, promotions
from billing.models import PriceVersion, PromotionCode
from tests.console.billing_stage import CREDIT, billing_admin, charged, customer

pytestmark = pytest.mark.django_db

PRICES, CODES = "/staff/billing/prices/", "/staff/billing/promotions/"


def field(moment) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def price(client, step="apply", **fields):
    ahead = field(timezone.now() + timedelta(days=2))
    given = {
        "operation": "clip",
        "price": "0.4",
        "effective_from": ahead,
        "reason": "dearer power",
        "step": step,
    }
    return client.post(PRICES, {**given, **fields})


def code(client, step="apply", **fields):
    given = {
        "code": "autumn-26",
        "credits": "100",
        "last_days": "60",
        "most": "20",
        "valid_from": "",
        "valid_until": field(timezone.now() + timedelta(days=10)),
        "reason": "film school fair",
        "step": step,
    }
    return client.post(CODES, {**given, **fields})


def test_a_price_is_previewed_on_last_weeks_charges():
    now = timezone.now()
    one, other = customer("Atelier Lumen", credits=100), customer("Hobby Corner", credits=100)
    charged(other, 20, at=now - timedelta(days=8))  # not of the last week
    charged(one, 10, at=now - timedelta(days=3))
    charged(one, 5, outcome="failed", reason_code="system_failed", at=now - timedelta(days=2))
    charged(other, 1, at=now - timedelta(days=1))
    found = price_preview.effect("clip", 400_000, now)
    assert (found.total.count, found.total.now_micro, found.total.then_micro) == (2, 3_300_000, 4_400_000)
    assert [(row.name, row.now_micro, row.then_micro) for row in found.models] == [
        ("pocket-video", 3_300_000, 4_400_000)
    ]
    assert [(row.name, row.change_micro) for row in found.organizations] == [
        ("Atelier Lumen", 1_000_000),
        ("Hobby Corner", 100_000),
    ]
    # The price that was charged gives what was charged, to the micro-credit; another operation has nothing.
    assert price_preview.effect("clip", 300_000, now).total.change_micro == 0
    assert price_preview.effect("code", 300_000, now).total.count == 0


def test_the_allowance_is_previewed_on_what_was_granted():
    charged(customer(), 1)  # 120 credits of a pro day, or what the terms say, are granted at the first use
    now = timezone.now() + timedelta(seconds=1)
    found = price_preview.effect("allowance", 600_000, now)
    assert found.total.now_micro > 0
    assert found.total.then_micro == 2 * found.total.now_micro


def test_the_page_previews_without_scheduling_in_few_queries(django_assert_max_num_queries):
    client, _ = billing_admin()
    organization = customer("Atelier Lumen", credits=100)
    for _ in range(4):
        charged(organization, 10)
    with django_assert_max_num_queries(20):
        html = price(client, "preview").content.decode()
    assert "goes from 0.30 to 0.40 credits a unit" in html
    assert "brought 12.00 credits in 4 parts; at this price it would be 16.00" in html
    assert f'href="/staff/billing/organizations/{organization.slug}/"' in html
    assert PriceVersion.objects.filter(operation="clip").count() == 1


def test_a_price_is_scheduled_counts_from_its_moment_on_and_is_taken_back_before():
    client, user = billing_admin()
    price(client)
    now = timezone.now()
    made = PriceVersion.objects.latest("pk")
    assert (made.author, made.reason) == (user.email, "dearer power")
    assert prices.in_force(["clip"], now)["clip"].micro_per_unit == 300_000
    assert prices.in_force(["clip"], now + timedelta(days=3))["clip"].micro_per_unit == 400_000
    entry = AuditEntry.objects.get(action="price.schedule")
    assert f'action="{PRICES}changes/{entry.pk}/undo"' in client.get(PRICES).content.decode()
    client.post(f"{PRICES}changes/{entry.pk}/undo", {"reason": " "})
    assert PriceVersion.objects.filter(pk=made.pk).exists()
    client.post(f"{PRICES}changes/{entry.pk}/undo", {"reason": "a typing error"})
    assert not PriceVersion.objects.filter(pk=made.pk).exists()
    told = AuditEntry.objects.get(action="price.schedule.undo")
    assert (told.reason, told.before["micro_per_unit"]) == ("a typing error", 400_000)
    client.post(f"{PRICES}changes/{entry.pk}/undo", {"reason": "once more"})
    assert AuditEntry.objects.filter(action="price.schedule.undo").count() == 1


def test_a_price_in_force_stays_whoever_asks():
    shipped = PriceVersion.objects.get(operation="clip")
    for change in (
        shipped.delete,
        lambda: PriceVersion.objects.filter(pk=shipped.pk).update(micro_per_unit=1),
    ):
        with pytest.raises(DatabaseError, match="Cannot (delete|update) rows"), transaction.atomic():
            change()
    coming = PriceVersion.objects.create(
        operation="clip",
        micro_per_unit=1,
        effective_from=timezone.now() + timedelta(days=1),
        author="test",
        reason="test",
    )
    with pytest.raises(DatabaseError, match="Cannot update rows"), transaction.atomic():
        PriceVersion.objects.filter(pk=coming.pk).update(micro_per_unit=2)
    coming.delete()


@pytest.mark.parametrize(
    "fields",
    [
        {"price": "-1"},
        {"price": "free"},
        {"price": "0.3"},  # as it is
        {"operation": "storage"},
        {"effective_from": ""},
        {"effective_from": "2020-01-01T00:00"},
        {"effective_from": "soon"},
        {"reason": " "},
    ],
)
def test_a_wrong_price_is_refused_and_nothing_is_scheduled(fields):
    client, _ = billing_admin()
    assert price(client, **fields).status_code == 400
    assert PriceVersion.objects.filter(operation="clip").count() == 1
    assert not AuditEntry.objects.filter(action="price.schedule").exists()


def test_two_prices_of_one_moment_are_refused():
    client, _ = billing_admin()
    start = field(timezone.now() + timedelta(days=2))
    price(client, effective_from=start)
    assert price(client, effective_from=start, price="0.5").status_code == 409
    assert PriceVersion.objects.filter(operation="clip").count() == 2


def test_a_code_is_made_redeemed_listed_and_switched_off(django_assert_max_num_queries):
    client, user = billing_admin()
    assert "100.00 credits for 60 days" in code(client, "preview").content.decode()
    assert not PromotionCode.objects.exists()
    code(client)
    made = PromotionCode.objects.get()
    assert (made.code, made.credits_micro, made.author) == ("AUTUMN-26", 100 * CREDIT, user.email)
    organization = customer()
    owner = organization.memberships.get().user
    caller = Caller(organization, owner, None, ROLE_SCOPES["owner"])
    promotions.redeem(caller, "autumn-26", timezone.now())
    with django_assert_max_num_queries(14):
        html = client.get(f"{CODES}{made.pk}/").content.decode()
    assert organization.name in html
    assert "1 of 20" in client.get(CODES).content.decode()
    client.post(f"{CODES}{made.pk}/withdraw", {"reason": "the fair is over"})
    made.refresh_from_db()
    assert made.withdrawn_at is not None
    other = customer()
    late = Caller(other, other.memberships.get().user, None, ROLE_SCOPES["owner"])
    with pytest.raises(ApiError):
        promotions.redeem(late, "AUTUMN-26", timezone.now())
    assert AuditEntry.objects.get(action="promotion.withdraw").reason == "the fair is over"


def test_a_code_that_may_give_more_than_the_limit_waits_for_a_second_person():
    client, _ = billing_admin()
    second, _ = billing_admin()
    code(client, most="101")
    assert not PromotionCode.objects.exists()
    waiting = Approval.objects.get()
    second.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": "agreed with sales"})
    assert PromotionCode.objects.get().max_redemptions == 101


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "ab"},
        {"code": "-leading"},
        {"code": "spräche"},
        {"credits": "0"},
        {"credits": "many"},
        {"last_days": "0"},
        {"last_days": "x"},
        {"most": "0"},
        {"valid_until": ""},
        {"valid_until": "2020-01-01T00:00"},
        {"reason": ""},
    ],
)
def test_a_wrong_code_is_refused_and_none_is_made(fields):
    client, _ = billing_admin()
    assert code(client, **fields).status_code == 400
    assert not PromotionCode.objects.exists()


def test_the_same_code_is_not_made_twice():
    client, _ = billing_admin()
    code(client)
    assert code(client, code="Autumn-26").status_code == 409
    assert PromotionCode.objects.count() == 1
