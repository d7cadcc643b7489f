"""Pulled into review at once: counted first, withheld in the same transaction, in batches that a kill can't tear."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import actions
from accounts.errors import ApiError
from generation import delivery, repeat_cache
from generation.afterwards import pulls, review_delivery
from generation.afterwards.pulls import PullIntoReview, Window
from generation.models import Asset, Job, ReviewPull, State
from safety.models import ReviewItem
from safety.review import queue as review
from tests.generation.api_stage import deliver, media_folder, tenant
from tests.generation.queueing import submit
from tests.generation.review_stage import reviewer

__all__ = ["media_folder"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(transaction, "on_commit", lambda call, *_, **__: call())


class Killed(BaseException):
    """The process ends here."""


def clips(count: int, prompt: str = "a red circle moves right over grass", owner=None) -> list[Job]:
    owner = owner or tenant("pro", credit=10**10)
    return [deliver(submit(owner, prompt=prompt, seed=seed)) for seed in range(count)]


def window(**more) -> Window:
    now = timezone.now()
    return Window(now - timedelta(hours=2), now + timedelta(minutes=1), **more)


def withheld(jobs: list[Job]) -> list[bool]:
    rows = dict(Asset.objects.filter(job__in=jobs, role="video").values_list("job_id", "withheld_at"))
    return [rows[job.pk] is not None for job in jobs]


def test_a_pull_previews_its_count_and_withholds_what_it_pulls():
    jobs, person = clips(3), reviewer()
    action = PullIntoReview(window(), "violence")
    assert action.preview().after == {"clips": 3, "withhold": True}
    assert ReviewItem.objects.count() == 0
    entry = actions.perform(action, person, "bypass seen at noon")
    assert (entry.after["pulled"], entry.after["state"]) == (3, "done")
    assert withheld(jobs) == [True, True, True]
    assert set(ReviewItem.objects.values_list("kind", "review_class", "withheld")) == {
        ("pull", "violence", True)
    }
    with pytest.raises(ApiError, match="looked at again"):
        delivery.clip_link(jobs[0])
    assert Job.objects.filter(state=State.DELIVERED).count() == 3


def test_by_setting_pulled_clips_go_on_being_delivered():
    jobs = clips(1)
    actions.perform(PullIntoReview(window(), "violence", withhold=False), reviewer(), "only looking")
    assert withheld(jobs) == [False]
    assert delivery.clip_link(jobs[0])


def test_pattern_organization_and_model_narrow_it_down():
    owner = tenant("pro", credit=10**10)
    wanted = clips(2, "a blue square falls over the sea", owner)
    clips(2)
    assert PullIntoReview(window(pattern=r"blue\s+square")).preview().after["clips"] == 2
    assert PullIntoReview(window(organization=owner.organization)).preview().after["clips"] == 2
    assert PullIntoReview(window(model=wanted[0].model)).preview().after["clips"] == 4
    Job.objects.filter(pk=wanted[0].pk).update(screening={"category": "violence"})
    assert PullIntoReview(window(category="violence")).preview().after["clips"] == 1
    actions.perform(PullIntoReview(window(pattern="BLUE")), reviewer(), "pattern")
    assert set(ReviewItem.objects.values_list("subject", flat=True)) == {str(job.pk) for job in wanted}


@pytest.mark.parametrize(
    ("wrong", "param"), [({"pattern": "("}, "pattern"), ({"category": "nonsense"}, "category")]
)
def test_what_can_not_be_read_is_refused_with_the_field(wrong, param):
    with pytest.raises(ApiError) as caught:
        actions.perform(PullIntoReview(window(**wrong)), reviewer(), "x")
    assert caught.value.param == param
    assert ReviewPull.objects.count() == 0


def test_killed_between_batches_it_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(pulls, "BATCH", 2)
    jobs = clips(5)
    actions.perform(PullIntoReview(window()), reviewer(), "many")
    pull = ReviewPull.objects.get()
    assert (pull.state, pull.pulled, sum(withheld(jobs))) == ("running", 2, 2)
    with monkeypatch.context() as patch:
        patch.setattr(ReviewPull, "save", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed), transaction.atomic():
            pulls.advance(pull.pk)
    assert (ReviewItem.objects.count(), sum(withheld(jobs))) == (2, 2)  # together or not at all
    while pulls.advance_all():
        pass
    pull.refresh_from_db()
    assert (pull.state, pull.seen, pull.pulled) == ("done", 5, 5)
    assert (ReviewItem.objects.count(), sum(withheld(jobs))) == (5, 5)


def test_undo_returns_what_nobody_has_looked_at():
    jobs, person = clips(3), reviewer()
    entry = actions.perform(PullIntoReview(window(), "violence"), person, "too wide")
    seen = ReviewItem.objects.get(subject=str(jobs[1].pk))
    review.claim(seen.pk, reviewer())
    pull = ReviewPull.objects.get()
    undone = actions.revert(pulls.action_of(pull), entry, person, "narrower next time")
    assert undone.after == {"returned": 2}
    assert withheld(jobs) == [False, True, False]
    seen.refresh_from_db()
    assert seen.state == "open"
    with pytest.raises(ApiError, match="already"):
        pulls.take_back(pull.pk)


def test_what_people_pass_is_delivered_again_and_what_they_refuse_is_withdrawn():
    jobs, person = clips(2), reviewer()
    actions.perform(PullIntoReview(window(), "violence"), person, "look")
    for job, verdict in zip(jobs, ("pass", "block"), strict=True):
        item = ReviewItem.objects.get(subject=str(job.pk))
        review.claim(item.pk, person)
        review_delivery.decide(item.pk, person, verdict, "seen")
    assert delivery.clip_link(jobs[0])
    states = [Job.objects.get(pk=job.pk).state for job in jobs]
    assert states == [State.DELIVERED, State.WITHDRAWN]


def test_a_withheld_clip_serves_no_repeat():
    owner = tenant("pro", credit=10**10)
    (job,) = clips(1, owner=owner)
    assert repeat_cache.find(owner.organization.pk, job.spec_hash) == job
    actions.perform(PullIntoReview(window()), reviewer(), "look")
    assert repeat_cache.find(owner.organization.pk, job.spec_hash) is None
