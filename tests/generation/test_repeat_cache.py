"""Exact repeats: served from the finished clip at their own price, and only while that clip may be delivered."""

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from accounts import tiers
from accounts.errors import ApiError
from billing.models import Charge, Hold, UsageEvent
from generation import delivery
from generation.models import Job, State
from generation.retention import removal
from safety.models import PolicyVersion
from tests.generation.api_stage import FILM, deliver, job_of, make_clip, media_folder, tenant
from tests.generation.queueing import caller, claim, idle_worker, submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
__all__ = ["media_folder"]


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.fixture
def made(plus) -> Job:
    """A delivered clip with seed 7."""
    return deliver(submit(plus, seed=7))


def test_a_repeat_is_delivered_at_once_at_a_tenth_with_a_decision_hold_and_charge_of_its_own(plus, made):
    again = submit(plus, seed=7)
    assert (again.state, again.repeat_of_id, again.steps_run) == (State.DELIVERED, made.pk, 0)
    assert (again.quote_micro, again.charge_micro) == (300_000, 30_000)
    usage = UsageEvent.objects.get(hold=again.hold_id)
    assert (usage.outcome, usage.reason_code, usage.quantity) == ("cached", "cached", 0)
    assert Charge.objects.get(usage_event=usage).price_version.operation == "cached"
    assert Hold.objects.get(pk=again.hold_id).state == Hold.State.CAPTURED
    assert again.decision_id != made.decision_id
    assert list(again.events.values_list("to_state", "cause"))[-1] == (
        "delivered",
        f"an exact repeat; served from {made.public_id}",
    )
    assert claim(idle_worker()) is None  # nothing waits, nothing ran
    assert not again.attempts.exists()


def test_its_file_is_the_originals_and_a_repeat_of_a_repeat_is_one_of_the_original(plus, made):
    first, second = submit(plus, seed=7), submit(plus, seed=7)
    assert second.repeat_of_id == first.repeat_of_id == made.pk
    sent = Client().get(delivery.clip_link(first))
    assert (sent.status_code, sent["Content-Length"]) == (200, str(len(FILM)))


@pytest.mark.parametrize("change", [{"seed": 8}, {"prompt": "a blue circle"}, {}])
def test_another_seed_another_prompt_or_none_is_made_anew(plus, made, change):
    fields = {"seed": 7} | change if change else {}
    assert submit(plus, **fields).repeat_of_id is None


def test_another_organization_or_another_precision_never_sees_it(made):
    assert submit(tenant("plus"), seed=7).repeat_of_id is None
    assert submit(tenant("free", credit=10**9), seed=7).repeat_of_id is None


def test_a_clip_that_was_scanned_under_an_older_policy_is_made_anew(plus, made):
    PolicyVersion.objects.update_or_create(name="frames", defaults={"version": 10_000})
    assert submit(plus, seed=7).state == State.QUEUED


def test_a_deleted_original_is_not_repeated_and_takes_its_repeats_file_along(plus, made):
    again = submit(plus, seed=7)
    removal.delete(made, caller(plus))
    with pytest.raises(ApiError) as refused:
        delivery.clip_link(Job.objects.get(pk=again.pk))
    assert refused.value.code == "not_found"
    assert submit(plus, seed=7).state == State.QUEUED


def test_a_withdrawn_original_withdraws_the_file_of_its_repeats(plus, made):
    again = submit(plus, seed=7)
    Job.objects.filter(pk=made.pk).update(state="withdrawn", state_cause="a person decided")
    with pytest.raises(ApiError) as refused:
        delivery.clip_link(Job.objects.get(pk=again.pk))
    assert refused.value.code == "content_withdrawn"
    assert submit(plus, seed=7).repeat_of_id is None


def test_deleting_a_repeat_leaves_the_original(plus, made):
    again = submit(plus, seed=7)
    removal.delete(again, caller(plus))
    assert delivery.clip_link(Job.objects.get(pk=made.pk))


def test_a_repeat_that_the_waterfall_refuses_is_not_served(plus, made, monkeypatch):
    submit(plus)
    own = tiers.read

    def one_open(*asked):
        terms = own(*asked)
        terms.max_open = 1
        return terms

    monkeypatch.setattr(tiers, "read", one_open)
    with pytest.raises(ApiError) as refused:
        submit(plus, seed=7)
    assert refused.value.code == "concurrency_limit_exceeded"
    assert not Job.objects.exclude(repeat_of=None).exists()


def test_the_database_lets_no_repeat_out_without_its_original(plus, made):
    waiting = submit(plus, seed=9)

    def refused(**values):
        with pytest.raises(DatabaseError), transaction.atomic():
            Job.objects.filter(pk=waiting.pk).update(state_cause="bypass", **values)

    refused(state="delivered")
    refused(repeat_of=made)  # what was asked for is fixed
    refused(state="delivered", repeat_of=made)
    copy = Job.objects.get(pk=made.pk)
    other = submit(tenant("plus"), seed=7)
    refused(state="delivered", repeat_of=other)
    assert copy.state == State.DELIVERED


def test_the_api_and_the_pages_say_so(plus, made):
    client = Client()
    video = make_clip(client, plus, seed="7", prompt=made.prompt)
    assert (video["status"], video["backlot"]["repeat_of"]) == ("completed", made.public_id)
    assert video["backlot"]["credentials"] == "Trusted"
    assert video["backlot"]["steps_run"] == 0
    content = client.get(f"/v1/videos/{video['id']}/content", headers=plus.auth)
    assert content.status_code == 302
    client.force_login(plus.owner)
    page = client.get(f"/jobs/{job_of(video).public_id}/").content.decode()
    assert "An exact repeat" in page
    assert made.public_id[:12] in page
