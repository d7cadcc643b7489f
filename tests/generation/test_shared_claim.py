"""Slots of one process that want a job at the same moment claim together, and none of them goes without."""

import threading

import pytest
from django.db import Error, connection, transaction

from generation import dispatch
from generation.models import Attempt, Pool
from generation.worker.shared_claim import SharedClaim
from tests.generation.api_stage import tenant
from tests.generation.queueing import idle_worker, submit_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture
def counts(monkeypatch) -> list[int]:
    """How many jobs each claim of the database asked for."""
    asked: list[int] = []
    claim_many = dispatch.claim_many

    def counted(worker, pool_slug: str, count: int) -> list[Attempt]:
        asked.append(count)
        return claim_many(worker, pool_slug, count)

    monkeypatch.setattr(dispatch, "claim_many", counted)
    return asked


def slots_that_come_meanwhile(shared: SharedClaim, count: int) -> list:
    """So many slots, all there before the first claim can end: the pool's row is locked until they have come."""
    found: list = []

    def slot() -> None:
        try:
            found.append(shared.next())
        except Error as problem:
            found.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=slot) for _ in range(count)]
    with transaction.atomic():
        Pool.objects.select_for_update().get(pk="clips")
        for thread in threads:
            thread.start()
        while len(shared._seats) < count:
            threading.Event().wait(0.01)
    for thread in threads:
        thread.join()
    return found


def test_slots_that_come_during_a_claim_are_served_by_one_more(counts):
    jobs = submit_many(tenant("pro"), 6)
    shared = SharedClaim(idle_worker(), "clips")
    found = slots_that_come_meanwhile(shared, 6)
    assert {attempt.job_id for attempt in found} == {job.pk for job in jobs}
    assert Attempt.objects.filter(ended_at=None).count() == 6
    assert len(counts) <= 2  # the first slot, with whoever came before it looked, and all the others
    assert sum(counts) == 6


def test_where_fewer_wait_than_ask_the_others_get_nothing(counts):
    submit_many(tenant("pro"), 2)
    found = slots_that_come_meanwhile(SharedClaim(idle_worker(), "clips"), 5)
    assert sorted(attempt is None for attempt in found) == [False, False, True, True, True]
    assert Attempt.objects.count() == 2
    assert sum(counts) == 5


def test_a_slot_by_itself_claims_as_ever(counts):
    submit_many(tenant("pro"), 1)
    shared = SharedClaim(idle_worker(), "clips")
    assert shared.next().job.state == "running"
    assert shared.next() is None
    assert counts == [1, 1]


def test_a_claim_that_fails_fails_for_its_slot_alone(monkeypatch):
    submit_many(tenant("pro"), 4)
    claim_many, calls = dispatch.claim_many, []

    def failing_first(worker, pool_slug: str, count: int) -> list[Attempt]:
        calls.append(count)
        found = claim_many(worker, pool_slug, count if len(calls) > 1 else 0)
        if len(calls) == 1:
            raise Error("the connection broke")
        return found

    monkeypatch.setattr(dispatch, "claim_many", failing_first)
    found = slots_that_come_meanwhile(SharedClaim(idle_worker(), "clips"), 4)
    assert sum(isinstance(one, Error) for one in found) == 1
    assert sum(isinstance(one, Attempt) for one in found) == 3
    assert Attempt.objects.filter(ended_at=None).count() == 3
