"""Pools in order of preference: at admission, and for jobs that wait where no worker is left."""

import pytest
from django.db import DatabaseError, transaction

from accounts.errors import ApiError
from generation.models import Job, JobEvent, Lane, LaneOrganization, Pool, RegisteredModel, Worker
from generation.scheduling import routing
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit, submit_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def spare():
    """A second pool that loads the clip model too, second in order for Plus."""
    pool = Pool.objects.create(slug="clips-spare", kind="clip", machine="an older card")
    Lane.objects.create(slug="spare-plus", pool=pool, tier_id="plus", weight=2, max_running=8, preference=1)
    RegisteredModel.objects.filter(name="pocket-video").update(also_pools=["clips-spare"])
    return pool


def counted() -> dict[str, int]:
    return dict(LaneOrganization.objects.filter(waiting__gt=0).values_list("lane", "waiting"))


def test_the_first_pool_that_serves_takes_the_job(spare):
    assert submit(tenant("plus")).lane_id == "clips-plus"  # nobody serves: the first in order
    other = idle_worker("clips-spare")
    assert submit(tenant("plus")).lane_id == "spare-plus"
    idle_worker("clips")
    assert submit(tenant("plus")).lane_id == "clips-plus"
    Lane.objects.filter(pk="spare-plus").update(preference=0)
    Lane.objects.filter(pk="clips-plus").update(preference=1)
    assert submit(tenant("plus")).lane_id == "spare-plus"
    Worker.objects.filter(pk=other.pk).update(desired="quarantine")
    assert submit(tenant("plus")).lane_id == "clips-plus"


def test_a_pool_of_another_precision_or_without_the_model_is_passed_over(spare):
    idle_worker("clips-spare")
    Pool.objects.filter(pk="clips-spare").update(precision="int8")
    assert submit(tenant("plus")).lane_id == "clips-plus"
    Pool.objects.filter(pk="clips-spare").update(precision="")
    RegisteredModel.objects.update(also_pools=[])
    assert submit(tenant("plus")).lane_id == "clips-plus"


def test_no_pool_for_a_precision_is_a_clear_refusal():
    Pool.objects.filter(pk="clips").update(precision="fp8")
    with pytest.raises(ApiError) as refused:
        submit(tenant("plus"))
    assert refused.value.code == "model_unavailable"
    assert not Job.objects.exists()


def test_jobs_that_wait_move_when_their_pool_loses_its_last_worker_and_keep_their_place(spare):
    lost, plus = idle_worker("clips"), tenant("plus")
    first, second = submit_many(plus, 2)
    helper = idle_worker("clips-spare")
    assert routing.reroute() == 0
    Worker.objects.filter(pk=lost.pk).update(desired="drain")
    assert routing.reroute() == 2
    assert counted() == {"spare-plus": 2}
    assert claim(helper).job_id == first.pk
    moved = JobEvent.objects.filter(job=second).latest("id")
    assert moved.cause == "moved from clips-plus to spare-plus"
    assert routing.reroute() == 0


def test_nothing_moves_where_nobody_else_serves_or_may(spare):
    submit(tenant("plus"))
    submit(tenant("pro", credit=10**9))  # that tier has no lane in the spare pool
    assert routing.reroute() == 0
    idle_worker("clips-spare")
    assert routing.reroute() == 1
    assert counted() == {"clips-pro": 1, "spare-plus": 1}


def test_the_database_moves_only_what_waits_and_only_within_its_tier_and_kind(spare):
    job = submit(tenant("plus"))

    def refused(lane: str) -> None:
        with pytest.raises(DatabaseError), transaction.atomic():
            Job.objects.filter(pk=job.pk).update(lane=lane)

    refused("clips-pro")
    refused("code-plus")
    claim(idle_worker("clips"))
    refused("spare-plus")
