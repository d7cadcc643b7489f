"""Tiers are dated rows: the figures that ship, and which ones count when."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import tiers
from accounts.models import Enrollment, Organization, Tier, TierTerms

pytestmark = pytest.mark.django_db

UNIT = 1_000_000
SHIPPED = {
    "free": (50, 300, 10, 10, 10, 3, 150, 30, 854, 480, 5, 1, True, "low", 300),
    "plus": (400, 4_000, 60, 30, 60, 8, 1_500, 50, 1920, 1080, 10, 2, False, "full", 120),
    "pro": (4_000, 40_000, 300, 120, 200, 24, 8_000, 50, 1920, 1080, 20, 4, False, "full", 120),
    "enterprise": (None, None, 1_200, 300, 1_000, 100, 50_000, 50, 1920, 1080, 60, 8, False, "full", 120),
}
COLUMNS = [
    "requests_per_minute",
    "requests_per_minute_key",
    "max_open",
    "max_running",
    "units_in_flight_micro",
    "steps",
    "max_width",
    "max_height",
    "max_seconds",
    "lane_weight",
    "preemptible",
    "precision",
    "target_s",
]


@pytest.mark.parametrize("slug", SHIPPED)
def test_the_terms_that_ship(slug):
    terms = TierTerms.objects.get(tier_id=slug)
    day, month, *others = SHIPPED[slug]
    assert terms.allowance_day_micro == (day and day * UNIT)
    assert terms.allowance_month_micro == (month and month * UNIT)
    others[4] *= UNIT
    assert [getattr(terms, column) for column in COLUMNS] == others


def test_the_tiers_in_order():
    assert list(Tier.objects.values_list("slug", flat=True)) == ["free", "plus", "pro", "enterprise"]


def enroll(organization, tier, moment):
    return Enrollment.objects.create(
        organization=organization, tier_id=tier, effective_from=moment, author="t", reason="t"
    )


def newer_terms(slug, moment, **changes):
    terms = TierTerms.objects.get(tier_id=slug)
    terms.pk = None
    terms.effective_from = moment
    for name, value in changes.items():
        setattr(terms, name, value)
    terms.save(force_insert=True)
    return terms


def test_a_new_organization_has_terms_at_once(organization, django_assert_num_queries):
    with django_assert_num_queries(1):
        terms = tiers.terms_for(organization.pk, timezone.now())
    assert terms.tier_id == "plus"


def test_a_change_of_tier_counts_from_its_moment(organization):
    moment = timezone.now() + timedelta(days=3)
    enroll(organization, "pro", moment)
    assert tiers.terms_for(organization.pk, moment - timedelta(microseconds=1)).tier_id == "plus"
    assert tiers.terms_for(organization.pk, moment).tier_id == "pro"
    enroll(organization, "free", moment)  # taken back: of two at one moment the later row counts
    assert tiers.terms_for(organization.pk, moment).tier_id == "free"


def test_a_change_of_terms_counts_from_its_moment(organization):
    moment = timezone.now() + timedelta(days=3)
    newer_terms("plus", moment, max_running=12)
    assert tiers.terms_for(organization.pk, moment - timedelta(microseconds=1)).max_running == 8
    assert tiers.terms_for(organization.pk, moment).max_running == 12


def test_without_a_tier_or_terms_there_is_no_answer(organization):
    with pytest.raises(tiers.NoTerms):
        tiers.terms_for(organization.pk, datetime(2025, 12, 31, tzinfo=UTC))
    nobody = Organization.objects.create(name="Nobody", slug="nobody")
    with pytest.raises(tiers.NoTerms):
        tiers.terms_for(nobody.pk, timezone.now())


def test_many_organizations_are_annotated_in_one_query(organization, django_assert_num_queries):
    with django_assert_num_queries(1):
        rows = Organization.objects.annotate(tier=tiers.tier_in_force(timezone.now()))
        assert [(row.slug, row.tier) for row in rows] == [("acme-films", "plus")]


@pytest.mark.parametrize(
    "changes",
    [
        {"max_running": 0},
        {"units_in_flight_micro": 0},
        {"allowance_day_micro": None},
        {"allowance_day_micro": -1},
        {"allowance_month_micro": 399 * UNIT},
        {"precision": "half"},
        {"reason": " "},
    ],
)
def test_the_database_refuses_terms_without_a_limit_or_reason(changes):
    with pytest.raises(IntegrityError), transaction.atomic():
        newer_terms("plus", timezone.now(), **changes)
