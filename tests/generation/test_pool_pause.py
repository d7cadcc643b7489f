"""A paused pool claims nothing new: what runs goes on, what waits keeps its place, and it ends by itself."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import actions
from generation.fleet.pool_actions import PausePool
from generation.models import PoolOverride
from generation.scheduling import standing
from tests.console.people import operator
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, end_as_cancelled, idle_worker, submit

pytestmark = pytest.mark.django_db


def test_nothing_new_is_claimed_until_it_is_taken_back():
    _, user = operator()
    plus, worker = tenant("plus"), idle_worker()
    running, waiting = submit(plus), submit(plus)
    attempt = claim(worker)
    assert attempt.job_id == running.pk
    said = PausePool("clips").preview()
    assert "1 job that runs goes on, 1 job that waits keeps its place" in said.sentence
    entry = actions.perform(PausePool("clips"), user, "nobody knows why yet")
    assert claim(worker) is None
    assert submit(plus).state == "queued"
    assert standing.standing(waiting).reason == standing.PAUSED
    end_as_cancelled(attempt)  # what runs ends as ever
    assert claim(worker) is None
    actions.revert(PausePool("clips"), entry, user, "we know")
    assert claim(worker).job_id == waiting.pk


def test_it_ends_with_its_expiry_and_another_pool_goes_on():
    _, user = operator()
    job, worker = submit(tenant("plus")), idle_worker()
    actions.perform(PausePool("code"), user, "another pool", timezone.now() + timedelta(minutes=5))
    attempt = claim(worker)
    assert attempt.job_id == job.pk
    long_ago = timezone.now() - timedelta(hours=1)
    PoolOverride.objects.create(
        pool_id="clips",
        field="paused",
        value=True,
        author_kind="operator",
        author="a",
        reason="an hour ago",
        created_at=long_ago,
        expires_at=long_ago + timedelta(minutes=5),
    )
    later = submit(tenant("plus"))
    assert claim(worker).job_id == later.pk
