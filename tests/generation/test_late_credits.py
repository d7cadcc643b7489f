"""Breached clips that earned no credit by themselves get the credit of their row, once, and it can be taken back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import actions, approvals
from accounts.errors import ApiError
from accounts.models import Approval
from billing import statement
from billing.models import BillingSettings, SlaCredit
from billing.reconciliation import reconcile
from generation import cancellation
from generation.late_credit_actions import GrantSlaCredits
from generation.models import Job
from tests.console.people import operator
from tests.generation.api_stage import Tenant, tenant
from tests.generation.queueing import submit

pytestmark = pytest.mark.django_db


def given_up(owner: Tenant, after_s: int = 200) -> Job:
    """A clip that whoever waited for it cancelled after so long."""
    job = submit(owner)
    cancellation.cancel(job, "too slow")
    job.refresh_from_db()
    Job.objects.filter(pk=job.pk).update(queued_at=job.finished_at - timedelta(seconds=after_s))
    return job


def the_last_hour() -> GrantSlaCredits:
    now = timezone.now()
    return GrantSlaCredits(now - timedelta(hours=1), now + timedelta(minutes=1))


def balance(owner: Tenant) -> int:
    return statement.balances(owner.organization.pk).available_micro


def test_each_once_what_its_row_promises_and_taken_back_whole():
    _, user = operator()
    plus, free = tenant("plus"), tenant("free")
    given_up(plus)
    given_up(plus, after_s=60)  # in time
    given_up(free, after_s=5000)  # its row earns nothing
    before = balance(plus)
    said = the_last_hour().preview()
    assert (said.before, said.after["granted_micro"]) == (
        {"without_credit": 1, "credited": 0}, 20_000_000
    )  # fmt: skip
    assert said.sentence.startswith("1 clip over target without a credit: 20")
    assert not SlaCredit.objects.exists()
    action = the_last_hour()
    entry = actions.perform(action, user, "the rush of this morning")
    (credit,) = SlaCredit.objects.all()
    assert (credit.organization, credit.amount) == (plus.organization, 20_000_000)
    assert 199_000 < credit.took_ms < 201_000
    assert balance(plus) == before + 20_000_000
    with pytest.raises(ApiError, match="No breached clip of this window"):
        actions.perform(the_last_hour(), user, "again")
    assert reconcile().drift == ()
    actions.revert(action, entry, user, "it was ours to wait for")
    assert balance(plus) == before
    assert reconcile().drift == ()


def test_much_of_it_waits_for_a_billing_admin():
    _, user = operator()
    given_up(tenant("plus"))
    row = BillingSettings.objects.order_by("pk").last()
    row.pk, row.approval_above_micro, row.effective_from = None, 10_000_000, timezone.now()
    row.save()
    done = approvals.submit(the_last_hour(), user, "all of them")
    assert isinstance(done, Approval)
    assert done.role == "billing_admin"
    assert not SlaCredit.objects.exists()


def test_a_window_is_a_day_at_most_and_begins_before_it_ends():
    now = timezone.now()
    for since, until in ((now, now), (now - timedelta(days=2), now)):
        with pytest.raises(ApiError, match="a day long at most"):
            GrantSlaCredits(since, until).preview()


def test_backlots_own_jobs_earn_nothing():
    job = given_up(tenant("plus"))
    Job.objects.filter(pk=job.pk).update(source="synthetic")
    assert the_last_hour().preview().before == {"without_credit": 0, "credited": 0}
