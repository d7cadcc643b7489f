"""Several connections at once: no job is claimed twice, none waits for a lock that somebody else holds."""

import threading

import pytest
from django.db import connection, transaction

from generation import cancellation, dispatch
from generation.models import Attempt, Job, State
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


def in_threads(count: int, call) -> list:
    """Run `call` in so many threads, each with a connection of its own; their results."""
    results = []

    def run():
        try:
            results.extend(call())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_four_workers_claim_every_job_exactly_once(committed):
    for _ in range(3):
        submit_many(tenant("plus"), 6)

    def claim_all():
        worker, claimed = idle_worker(), []
        while attempt := claim(worker):
            claimed.append(attempt)
        return claimed

    attempts = in_threads(4, claim_all)
    assert len(attempts) == 18
    assert len({attempt.job_id for attempt in attempts}) == 18
    assert len({attempt.fence for attempt in attempts}) == 18
    assert Attempt.objects.filter(ended_at=None).count() == 18


def test_a_job_locked_by_someone_else_is_passed_over(committed):
    plus = tenant("plus")
    locked, other = submit_many(plus, 2)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=locked.pk)
        found = in_threads(1, lambda: [claim(idle_worker()).job_id])
    assert found == [other.pk]


def test_cancel_and_claim_at_once_agree_on_one_end(committed):
    jobs = submit_many(tenant("plus"), 6)
    in_threads(1, lambda: [cancellation.cancel(job, "its owner") for job in jobs] and [])
    worker = idle_worker()
    assert dispatch.claim(worker, "clips") is None
    assert set(Job.objects.values_list("state", flat=True)) == {State.CANCELLED}
