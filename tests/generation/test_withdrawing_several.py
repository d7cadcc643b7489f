"""Several delivered clips are taken back in one change: all of them or none, and a second person brings them back."""

import uuid

import pytest
from django.test import Client

from accounts import actions, approvals
from accounts.errors import ApiError
from accounts.models import Approval
from generation.afterwards.withdrawal_actions import MOST_CLIPS, WithdrawClips
from generation.models import Job, State, Withdrawal
from tests.generation.api_stage import Tenant, deliver, job_of, make_clip, media_folder, tenant
from tests.generation.review_stage import reviewer

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


def clips(owner: Tenant, count: int) -> list[Job]:
    client = Client()
    return [deliver(job_of(make_clip(client, owner, seed=str(seed)))) for seed in range(count)]


def states(jobs: list[Job]) -> set[str]:
    return set(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("state", flat=True))


def test_all_links_die_at_once_and_a_second_person_brings_them_back():
    jobs, user = clips(tenant("plus"), 2), reviewer()
    action = WithdrawClips(tuple(job.pk for job in jobs))
    said = action.preview()
    assert (said.before, said.after["withdrawn"]) == ({"delivered": 2}, 2)
    assert "2 clips with their exact repeats are no longer delivered" in said.sentence
    entry = actions.perform(action, user, "confirmed")
    assert states(jobs) == {State.WITHDRAWN}
    assert entry.after["jobs"] == [str(job.pk) for job in jobs]
    with pytest.raises(ApiError, match="You withdrew it yourself"):
        actions.revert(action, entry, user, "a mistake")
    assert states(jobs) == {State.WITHDRAWN}


def test_one_that_is_not_delivered_lets_none_be_taken_back():
    jobs, user = clips(tenant("plus"), 1), reviewer()
    with pytest.raises(ApiError):
        actions.perform(WithdrawClips((jobs[0].pk, uuid.uuid4())), user, "confirmed")
    assert states(jobs) == {State.DELIVERED}
    assert not Withdrawal.objects.exists()
    for wrong in ((), tuple(uuid.uuid4() for _ in range(MOST_CLIPS + 1))):
        with pytest.raises(ApiError, match="Choose from 1 to 50 clips"):
            WithdrawClips(wrong).preview()


def test_deleting_files_for_good_takes_a_second_person():
    jobs, user, other = clips(tenant("plus"), 1), reviewer(), reviewer()
    done = approvals.submit(WithdrawClips((jobs[0].pk,), "delete"), user, "confirmed")
    assert isinstance(done, Approval)
    assert states(jobs) == {State.DELIVERED}
    entry = approvals.approve(done.pk, other, "I agree")
    assert states(jobs) == {State.WITHDRAWN}
    assert entry.undo is None
