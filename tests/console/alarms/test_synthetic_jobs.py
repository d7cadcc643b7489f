"""A real job of Backlot's own in every pool, which nobody pays, and the alarm about it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.errors import ApiError
from accounts.models import OperationalEvent, Organization
from console.alarms import measuring, synthetic
from generation import admission
from generation.models import Job, PoolOverride, RegisteredModel
from tests.console.people import clip, person

pytestmark = pytest.mark.django_db
EVERY = synthetic.EVERY


@pytest.fixture(autouse=True)
def switched_on(settings):
    settings.SYNTHETIC_JOBS = True


def age(pool: str = "clips") -> float | None:
    return measuring.levels(timezone.now(), 0.0).get(("synthetic_age", pool))


def made(minutes_ago: float, state: str | None = None) -> Job:
    """A synthetic clip that was tried so long ago."""
    now = timezone.now()
    turn = now - timedelta(minutes=minutes_ago)
    jobs = synthetic.run(turn)
    (job,) = [one for one in jobs if one.kind == "clip"]
    Job.objects.filter(pk__in=[one.pk for one in jobs]).update(created_at=turn)
    return job


def test_one_per_pool_of_the_smallest_and_nobody_is_billed():
    jobs = {job.kind: job for job in synthetic.run(timezone.now())}
    assert set(jobs) == {"clip", "code"}
    assert {job.organization.slug for job in jobs.values()} == {synthetic.ORGANIZATION}
    assert {job.source for job in jobs.values()} == {"synthetic"}
    model = jobs["clip"].model
    assert jobs["clip"].spec["seconds"] == min(model.can.seconds)
    assert jobs["clip"].decision.allowed
    organization = Organization.objects.get(slug=synthetic.ORGANIZATION)
    assert not organization.memberships.filter(user__is_active=True).exists()
    assert "allowance" in str(jobs["clip"].decision.layers)


def test_never_two_of_a_pool_and_not_the_same_twice():
    now = timezone.now()
    assert len(synthetic.run(now)) == 2
    assert synthetic.run(now) == []
    assert synthetic.run(now + EVERY) == []  # they are still open
    assert Job.objects.filter(source="synthetic").count() == 2


def test_a_paused_pool_and_a_revision_out_of_service_are_left_out():
    PoolOverride.objects.create(
        pool_id="clips", field="paused", value=True, author_kind="operator", author="a", reason="r"
    )
    assert [job.kind for job in synthetic.run(timezone.now())] == ["code"]
    RegisteredModel.objects.filter(kind="code").update(status="retired")
    assert synthetic.run(timezone.now() + EVERY) == []
    assert age() is None


def test_switched_off_there_is_neither_a_job_nor_a_figure(settings):
    synthetic.run(timezone.now())
    settings.SYNTHETIC_JOBS = False
    assert synthetic.run(timezone.now() + EVERY) == []
    assert age() is None


def test_the_figure_is_the_age_of_the_oldest_try_without_a_success():
    assert age() is None
    made(11)
    assert age() == pytest.approx(660, abs=200)
    person_job = clip(person()[1])
    assert person_job.source == "studio"
    assert age() == pytest.approx(660, abs=200)


def test_a_refusal_is_a_try(monkeypatch):
    def refuse(*_args, **_named):
        raise ApiError("server_is_overloaded", "no room")

    monkeypatch.setattr(admission, "submit_clip", refuse)
    assert [job.kind for job in synthetic.run(timezone.now())] == ["code"]
    event = OperationalEvent.objects.get(kind="synthetic.refused")
    assert (event.subject, event.detail) == ("pool:clips", {"code": "server_is_overloaded"})
    assert age() == pytest.approx(0, abs=200)


def test_customers_figures_leave_them_out():
    made(6)
    assert measuring.levels(timezone.now(), 0.0).get(("plus_waiting", "clips")) is None
