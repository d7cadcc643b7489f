"""A claim of several jobs takes what so many single claims would, in their order, and leaves the same tags."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from generation import dispatch
from generation.models import Attempt, Job, Lane, LaneOrganization, LaneOverride, Pool, State
from generation.policy import claims
from tests.generation.api_stage import tenant
from tests.generation.queueing import idle_worker, submit, submit_many

TAGS = ("pk", "tag", "organization_virtual_time")


class Undone(Exception):
    """Ends a database transaction of a trial, so that the next one starts from the same rows."""


def trial(call: Callable[[], list[Attempt]]) -> tuple:
    """What a way of claiming took, in order, and what it left."""
    seen: list = []
    try:
        with transaction.atomic():
            jobs = [attempt.job_id for attempt in call()]
            lanes = [(*row,) for row in Lane.objects.order_by("pk").values_list(*TAGS)]
            places = list(
                LaneOrganization.objects.order_by("pk").values_list("pk", "tag", "running", "at_cap")
            )
            seen += [jobs, lanes, places, Pool.objects.get(pk="clips").virtual_time]
            raise Undone
    except Undone:
        return tuple(seen)


def one_by_one(worker, count: int) -> list[Attempt]:
    found = [dispatch.claim(worker, "clips") for _ in range(count)]
    return [attempt for attempt in found if attempt is not None]


@pytest.mark.django_db
@pytest.mark.parametrize("batches", [(3, 4, 9), (16,)])
def test_batches_choose_as_single_claims_do(batches):
    for tier, counts in (("free", (1, 4)), ("plus", (5, 2, 1)), ("pro", (4,))):
        for count in counts:
            submit_many(tenant(tier, credit=10**9), count)
    worker = idle_worker()
    LaneOverride.objects.create(
        lane_id="clips-plus",
        field="max_running",
        value=3,
        author_kind="operator",
        author="a",
        reason="a test",
    )
    single = trial(lambda: one_by_one(worker, sum(batches)))
    several = trial(lambda: [a for count in batches for a in dispatch.claim_many(worker, "clips", count)])
    assert len(single[0]) == 3 + 1 + 6 + 4  # free clips 1 + 3, plus 3 + 2 + 1, pro 4: the caps hold
    assert several == single


@pytest.mark.django_db
def test_a_batch_reads_on_where_one_organization_has_more_turns_than_were_read():
    flood = submit_many(tenant("pro"), 9)
    for _ in range(2):
        submit(tenant("pro"))
    taken = [attempt.job_id for attempt in dispatch.claim_many(idle_worker(), "clips", 11)]
    assert len(taken) == 11
    assert [job for job in taken if job in {one.pk for one in flood}] == [one.pk for one in flood]


@pytest.mark.django_db
def test_every_attempt_of_a_batch_comes_whole():
    submit_many(tenant("plus"), 2)
    for attempt in dispatch.claim_many(idle_worker(), "clips", 5):
        stored = Attempt.objects.select_related("job", "job__model", "lane").get(pk=attempt.pk)
        for mine, theirs in (
            (attempt, stored),
            (attempt.job, stored.job),
            (attempt.job.model, stored.job.model),
        ):
            names = [field.attname for field in mine._meta.concrete_fields]
            assert [getattr(mine, name) for name in names] == [getattr(theirs, name) for name in names]
        assert attempt.job.state == State.RUNNING
        assert attempt.job.fence == attempt.fence


def test_a_job_that_is_locked_is_left_out_and_the_rest_of_the_batch_is_taken(committed):
    plus = tenant("plus")
    jobs = submit_many(plus, 4)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=jobs[1].pk)
        found = elsewhere(lambda: [a.job_id for a in dispatch.claim_many(idle_worker(), "clips", 4)])
    assert found == [jobs[0].pk, jobs[2].pk, jobs[3].pk]
    assert Attempt.objects.filter(job=jobs[1]).count() == 0


def test_room_that_comes_between_a_claims_read_and_its_write_is_not_lost(committed, monkeypatch):
    """The read saw the organization at its cap; a job of its ends before the write, which must not say that it is."""
    free = tenant("free", credit=10**9)
    jobs = submit_many(free, 5)
    worker = idle_worker()
    first = dispatch.claim_many(worker, "clips", 2)
    take_many = claims.take_many

    def end() -> list:
        Job.objects.filter(pk=first[0].job_id).update(state=State.CANCELLED, state_cause="a test")
        return []

    def ending_meanwhile(pool, count):
        decided = take_many(pool, count)
        elsewhere(end)
        return decided

    with monkeypatch.context() as patch:
        patch.setattr(claims, "take_many", ending_meanwhile)
        assert [a.job for a in dispatch.claim_many(worker, "clips", 1)] == [jobs[2]]  # the third, its cap
    place = LaneOrganization.objects.get(organization=free.organization)
    assert (place.running, place.at_cap) == (2, False)
    assert dispatch.claim(worker, "clips").job == jobs[3]
    assert dispatch.claim(worker, "clips") is None


def elsewhere(call: Callable[[], list]) -> list:
    """The result of a call on a connection of its own."""
    found: list = []

    def run() -> None:
        try:
            found.extend(call())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found
