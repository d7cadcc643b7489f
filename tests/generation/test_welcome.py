"""An organization that came by a cohort's code begins with the cohort's credit, once."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import gate, organizations
from accounts.models import Cohort, InvitationCode, OutboxEvent, User
from billing import statement
from billing.models import Transaction
from generation import announcements, welcome

pytestmark = pytest.mark.django_db


def enter(credit_micro, now):
    owner = User.objects.create_user("ana@example.com")
    cohort = Cohort.objects.create(
        name="schools", created_by=owner, credit_micro=credit_micro, credit_days=30
    )
    shown, digest = gate.new_code()
    InvitationCode.objects.create(
        cohort=cohort, digest=digest, last_four=shown[-4:], max_uses=1, created_by=owner,
        expires_at=now + timedelta(days=1),
    )  # fmt: skip
    with transaction.atomic():
        organization = organizations.create("School", "free", owner)
        gate.enter(organization, owner, shown, now)
    return organization


def test_the_cohorts_credit_is_granted_once(clean_redis):
    now = timezone.now()
    organization = enter(5_000_000, now)
    assert announcements.dispatch() == 1
    welcome.greet(OutboxEvent.objects.get(topic="organization.created"))  # as after a crash before the mark
    assert statement.balances(organization.pk).promotional_micro == 5_000_000
    granted = Transaction.objects.get(organization=organization, operation="grant")
    assert granted.reason == "credit of the cohort schools"
    assert announcements.dispatch() == 0


def test_without_credit_nothing_is_posted(clean_redis):
    organization = enter(0, timezone.now())
    assert announcements.dispatch() == 1
    assert statement.balances(organization.pk).promotional_micro == 0
    assert not Transaction.objects.filter(organization=organization, operation="grant").exists()
