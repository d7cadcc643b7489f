"""Several people and processes at once: one decision, one delivery, one charge, one refund."""

import threading

import pytest
from django.db import connection

from accounts.errors import ApiError
from billing.models import Charge, Transaction
from generation.afterwards import review_delivery, withdrawal
from generation.models import Job, State, Withdrawal
from safety.models import ReviewClaim, ReviewItem, UserReport
from safety.review import queue as review
from safety.review import reports
from tests.generation.review_stage import decided, delivered, in_review, review_folders, reviewer

__all__ = ["review_folders"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


def at_once(*calls) -> list:
    """What each call answered, or the ApiError that it raised; they start together, each on its own connection."""
    barrier, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number: int, call) -> None:
        try:
            barrier.wait(30)
            answers[number] = call()
        except ApiError as error:
            answers[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_of_several_claims_one_is_made(review_folders):
    _, item = in_review(review_folders)
    people = [reviewer() for _ in range(4)]
    answers = at_once(*[lambda one=one: review.claim(item.pk, one) for one in people])
    assert sum(isinstance(one, ReviewClaim) for one in answers) == 1
    assert {one.code for one in answers if isinstance(one, ApiError)} == {"not_ready"}
    assert ReviewClaim.objects.filter(item=item, ended_at=None).count() == 1


def test_a_cleared_clip_is_delivered_and_charged_once(review_folders):
    job, item = in_review(review_folders)
    decided(item, reviewer())
    assert sum(at_once(*[review_delivery.deliver_cleared] * 3)) == 1
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    assert Charge.objects.filter(usage_event__subject=str(job.pk)).count() == 1


def test_a_decision_and_the_clock_at_once_leave_one_end(review_folders, monkeypatch):
    job, item = in_review(review_folders)
    person = reviewer()
    review.claim(item.pk, person)
    monkeypatch.setattr(review_delivery, "PATIENCE", -review_delivery.PATIENCE)  # the day is over now
    at_once(lambda: review_delivery.decide(item.pk, person, "pass", "seen"), review_delivery.expire)
    review_delivery.deliver_cleared()
    job.refresh_from_db()
    item.refresh_from_db()
    assert (job.state, item.state) in {(State.DELIVERED, "passed"), (State.BLOCKED, "expired")}
    charged = [job.quote_micro] if job.state == State.DELIVERED else [0]
    amounts = Charge.objects.filter(usage_event__subject=str(job.pk)).values_list("amount", flat=True)
    assert list(amounts) == charged


def test_a_clip_is_withdrawn_and_refunded_once(review_folders):
    job = delivered(review_folders)
    people = [reviewer() for _ in range(3)]
    answers = at_once(*[lambda one=one: withdrawal.withdraw(job, by=one, reason="found") for one in people])
    assert sum(isinstance(one, Withdrawal) for one in answers) == 1
    refunds = Transaction.objects.filter(organization=job.organization, kind=Transaction.Kind.REFUND)
    assert refunds.count() == 1
    assert Job.objects.get(pk=job.pk).state == State.WITHDRAWN
    assert Withdrawal.objects.get(job=job).settled_at is not None


def test_reports_at_once_open_one_item(review_folders):
    def report(who: str):
        return reports.submit("one", "a" * 64, category="violence", text="", reporter=who, organization=None)

    at_once(*[lambda who=who: report(who) for who in ("user:1", "user:1", "user:2", "user:3")])
    assert ReviewItem.objects.filter(subject="one").count() == 1
    assert UserReport.objects.count() == 3
