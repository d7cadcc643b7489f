"""Requests of one wallet that come at the same time share a transaction, and are answered as if each came alone."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from billing import budgets
from billing.ledger import open_books
from billing.models import BudgetMonth, Hold
from billing.reconciliation import reconcile
from generation import admission
from generation.models import Job
from tests.generation.api_stage import Tenant, tenant
from tests.generation.queueing import CLIP, caller

pytestmark = pytest.mark.django_db
CREDIT = 1_000_000


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@contextmanager
def wallet_is_busy(of: Tenant) -> Iterator[None]:
    """Somebody holds the lock meanwhile, so that whoever asks must wait."""
    with transaction.atomic():
        open_books(of.organization.pk)
        yield


def all_wait(count: int) -> None:
    """Until one waits for the lock and the others for that one."""
    until = time.monotonic() + 60
    while sum(len(queue) + 1 for queue in admission._turns._waiting.values()) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def at_once(of: Tenant, calls: list[Callable[[], Job]]) -> list[Future[Job]]:
    """Each in a thread of its own, all there before the wallet is free."""

    def run(call: Callable[[], Job]) -> Job:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads, wallet_is_busy(of):
        futures = []
        for place, call in enumerate(calls, 1):
            futures.append(threads.submit(run, call))
            all_wait(place)
    return futures


def clip(of: Tenant, **about) -> Callable[[], Job]:
    return lambda: admission.submit_clip(caller(of), CLIP, **about)


def transactions() -> list[int]:
    """How many jobs each transaction wrote, smallest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM generation_job GROUP BY xmin::text ORDER BY 1")
        return [count for (count,) in cursor.fetchall()]


def test_requests_at_once_share_one_transaction():
    plus = tenant("plus", credit=100 * CREDIT)
    jobs = [future.result() for future in at_once(plus, [clip(plus) for _ in range(4)])]
    assert len({job.pk for job in jobs}) == 4
    assert transactions() == [1, 3]
    assert Hold.objects.filter(state="open").count() == 4
    assert [job.hold.expires_at is not None and job.decision.allowed for job in jobs] == [True] * 4
    assert reconcile().drift == ()


def test_a_budget_holds_within_a_group():
    plus = tenant("plus", credit=100 * CREDIT)
    quote = admission.quote_clip(caller(plus), CLIP)["quote"].amount_micro
    budgets.set_budget(plus.organization.pk, "organization", 3 * quote)
    futures = at_once(plus, [clip(plus) for _ in range(6)])
    problems = [future.exception() for future in futures]
    assert [problem is None for problem in problems] == [True] * 3 + [False] * 3
    assert {problem.code for problem in problems[3:]} == {"budget_exceeded"}
    assert BudgetMonth.objects.get().used_micro == 3 * quote
    assert Hold.objects.count() == 3
    assert reconcile().drift == ()


def test_one_key_twice_at_once_is_one_job_and_takes_nobody_along():
    plus = tenant("plus", credit=100 * CREDIT)
    same = {"idempotency_key": "the same"}
    calls = [clip(plus), clip(plus, **same), clip(plus, **same), clip(plus)]
    jobs = [future.result() for future in at_once(plus, calls)]
    assert jobs[1] == jobs[2]
    assert [job.hold_id for job in jobs] == [Job.objects.get(pk=job.pk).hold_id for job in jobs]
    assert Job.objects.count() == Hold.objects.count() == 3
    assert reconcile().drift == ()
