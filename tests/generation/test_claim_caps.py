"""What one organization, and one pool, may have running at once, in jobs and in units, as the claim finds it."""

import json

import pytest
from django.db import connection, transaction

from generation import cancellation, dispatch
from generation.models import Attempt, Job, Lane, LaneOrganization, LaneOverride, Pool
from generation.scheduling import claim_sql
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, end_as_cancelled, idle_worker, submit, submit_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker():
    return idle_worker()


def place(of) -> LaneOrganization:
    return LaneOrganization.objects.get(organization=of.organization)


def live_setting(field: str, value: float) -> None:
    LaneOverride.objects.create(
        lane_id="clips-plus",
        field=field,
        value=value,
        author_kind="operator",
        author="someone",
        reason="a test",
    )


def test_units_of_an_organization_are_capped_in_its_lane_and_the_next_organization_goes(worker):
    first, second = tenant("plus"), tenant("plus")
    jobs = submit_many(first, 3)
    other = submit(second)
    live_setting("max_units_micro", 2 * jobs[0].units_micro)
    taken = [claim(worker) for _ in range(4)]
    assert [attempt and attempt.job for attempt in taken] == [jobs[0], other, jobs[1], None]
    assert place(first).running_units_micro == 2 * jobs[0].units_micro
    end_as_cancelled(taken[0])
    assert place(first).running_units_micro == jobs[0].units_micro
    assert claim(worker).job == jobs[2]


def test_a_job_larger_than_the_cap_runs_alone(worker):
    plus = tenant("plus")
    first, second = submit_many(plus, 2)
    live_setting("max_units_micro", first.units_micro // 2)
    running = claim(worker)
    assert running.job == first
    assert claim(worker) is None
    end_as_cancelled(running)
    assert claim(worker).job == second


def test_units_of_a_pool_are_a_weighted_semaphore(worker):
    pro, plus = tenant("pro"), tenant("plus")
    large = submit(pro)
    small = submit(plus)
    Pool.objects.filter(pk="clips").update(capacity_units_micro=large.units_micro + small.units_micro - 1)
    running = claim(worker)
    assert claim(worker) is None  # nor does another lane's, which would fit no better
    end_as_cancelled(running)
    assert claim(worker) is not None
    Pool.objects.filter(pk="clips").update(capacity_units_micro=None)


def test_a_lowered_cap_holds_for_what_runs_already_and_a_raised_one_at_the_next_claim(worker):
    plus = tenant("plus")
    submit_many(plus, 4)
    assert claim(worker) is not None
    live_setting("max_running", 1)
    assert claim(worker) is None
    assert place(plus).at_cap
    live_setting("max_running", 2)
    assert claim(worker) is not None
    assert claim(worker) is None
    assert Lane.objects.get(pk="clips-plus").at_cap_under == "2/"


def test_room_comes_back_with_every_way_of_ending(worker):
    plus = tenant("plus")
    submit_many(plus, 4)
    live_setting("max_running", 1)
    attempt = claim(worker)
    assert claim(worker) is None
    assert place(plus).at_cap
    end_as_cancelled(attempt)
    assert not place(plus).at_cap
    assert claim(worker) is not None
    # A cancelled head may have been what did not fit: the claim looks again, and finds that it is still at its cap.
    cancellation.cancel(Job.objects.filter(state="queued").first(), "its owner")
    assert not place(plus).at_cap
    assert claim(worker) is None
    assert place(plus).at_cap


def test_counts_of_units_follow_the_states_by_the_database(worker):
    plus = tenant("plus")
    job = submit(plus)
    assert place(plus).running_units_micro == 0
    attempt = claim(worker)
    assert place(plus).running_units_micro == job.units_micro
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE generation_job SET state = 'queued', state_cause = 'by hand' WHERE id = %s", [job.pk]
        )
    assert (place(plus).running, place(plus).running_units_micro) == (0, 0)
    assert Attempt.objects.get(pk=attempt.pk).ended_at is None


CAPPED = """
INSERT INTO accounts_organization (slug, name) SELECT 'capped-' || n, 'Capped' FROM generate_series(1, 1000) n;
INSERT INTO generation_laneorganization (lane_id, organization_id, tag, waiting, running, at_cap)
  SELECT 'clips-plus', id, -1e9, 1, 8, true FROM accounts_organization WHERE slug LIKE 'capped-%';
"""


def test_a_thousand_organizations_at_their_cap_with_the_least_tags_are_not_stepped_over(worker):
    submit(tenant("plus"))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CAPPED)
        cursor.execute("ANALYZE generation_laneorganization, generation_lane, generation_job")
        cursor.execute("SET LOCAL enable_seqscan = off")
        heads = claim_sql.HEADS.replace("%s", "{}").format("true", "'{}'", 1, "'{}'", 1, 1, "'clips'")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {heads}")
        plan = cursor.fetchone()[0]
    plan = json.loads(plan) if isinstance(plan, str) else plan
    assert "lane_organization_next" in json.dumps(plan)
    assert touched(plan[0]["Plan"]) < 10, plan


def touched(node: dict) -> float:
    """Places that a plan looked at, over all its nodes that read them."""
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    own *= node.get("Relation Name") == "generation_laneorganization"
    return own + sum(touched(child) for child in node.get("Plans", []))


def test_a_claim_is_two_round_trips_however_many_jobs(worker, django_assert_num_queries):
    for _ in range(3):
        submit_many(tenant("plus"), 4)
    dispatch.claim_many(worker, "clips", 2)  # prepares the statements of this connection
    with django_assert_num_queries(4):  # the two, and the savepoint that a transaction is inside a test
        assert claim(worker) is not None
    with django_assert_num_queries(4):
        assert len(dispatch.claim_many(worker, "clips", 6)) == 6


def test_a_claim_of_an_empty_pool_writes_nothing(worker, django_assert_num_queries):
    claim(worker)
    claim(worker)
    with django_assert_num_queries(3):
        assert claim(worker) is None
