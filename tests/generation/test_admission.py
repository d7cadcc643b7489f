"""A request becomes a job with its hold, or nothing at all."""

import pytest
from django.db import DatabaseError

from accounts.errors import ApiError
from accounts.models import TierTerms
from billing.models import Decision, Hold
from generation import admission, cancellation, finalization
from generation.finalization import Ran
from generation.models import Job, State
from generation.scheduling.leases import lease_of
from safety.models import Rule
from tests.generation.api_stage import counts, tenant
from tests.generation.queueing import CLIP, CODE, caller, claim, idle_worker, submit, submit_code

pytestmark = pytest.mark.django_db


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.mark.parametrize(("tier", "steps"), [("free", 30), ("plus", 50), ("pro", 50), ("enterprise", 50)])
def test_the_tier_sets_the_steps_exactly(tier, steps):
    job = submit(tenant(tier, credit=10**9))
    assert job.steps == steps
    assert job.spec["steps"] == steps


def test_a_job_is_queued_with_its_hold_decision_and_quote(plus):
    job = submit(plus, seed=7)
    assert (job.state, job.kind, job.seed) == (State.QUEUED, "clip", 7)
    assert job.hold.state == Hold.State.OPEN
    assert job.hold.amount == job.quote_micro == job.decision.quote_micro == 300_000  # 1 unit at 0.3 credit
    assert job.decision.allowed
    assert job.lane_id == "clips-plus"
    assert (job.spec["width"], job.spec["height"], job.spec["fps"], job.spec["seconds"]) == (64, 64, 8, 2)


def test_the_same_key_and_body_is_the_same_job(plus):
    first = admission.submit_clip(caller(plus), CLIP, idempotency_key="a")
    before = counts(plus)
    assert admission.submit_clip(caller(plus), CLIP, idempotency_key="a") == first
    assert counts(plus) == before
    assert admission.submit_clip(caller(plus), CLIP, idempotency_key="b") != first


def test_the_same_key_with_another_body_is_refused(plus):
    admission.submit_clip(caller(plus), CLIP, idempotency_key="a")
    before = counts(plus)
    with pytest.raises(ApiError) as refused:
        admission.submit_clip(caller(plus), CLIP | {"prompt": "another"}, idempotency_key="a")
    assert refused.value.code == "idempotency_key_reused"
    assert counts(plus) == before


def test_a_key_belongs_to_its_organization(plus):
    first = admission.submit_clip(caller(plus), CLIP, idempotency_key="a")
    assert admission.submit_clip(caller(tenant("plus")), CLIP, idempotency_key="a") != first


def test_a_balance_too_small_queues_nothing_and_says_why():
    poor = tenant("free", credit=0)
    for _ in range(50):  # the day's allowance: 50 units
        job = submit(poor)
        cancel_after_all_steps(job)
    with pytest.raises(ApiError) as refused:
        submit(poor)
    assert refused.value.code == "credit_balance_exhausted"
    decision = Decision.objects.get(pk=refused.value.decision_id)
    assert not decision.allowed
    assert not Job.objects.filter(decision=decision).exists()
    assert not Hold.objects.filter(organization=poor.organization, state=Hold.State.OPEN).exists()


def cancel_after_all_steps(job: Job) -> None:
    """The cheapest way to spend: run out of the rate window's way, then be charged in full."""
    type(job.organization.wallet).objects.update(rate_tat=None)
    attempt = claim(idle_worker())
    finalization.cancel_running(lease_of(attempt), Ran(steps=job.steps))


def test_a_refusal_by_policy_names_the_category_and_holds_nothing(plus):
    Rule.objects.create(
        pattern="forbidden fruit", category="violence", kinds=["clip"], author="test", reason="test"
    )
    before = counts(plus)
    with pytest.raises(ApiError) as refused:
        submit(plus, prompt="a FORBIDDEN fruit on a table")
    assert (refused.value.code, refused.value.status) == ("moderation_blocked", 400)
    assert "violence" in refused.value.message
    assert "forbidden" not in refused.value.message.lower()
    assert counts(plus) == {**before, "Decision": before["Decision"] + 1}
    assert str(Decision.objects.get(organization=plus.organization).pk) == refused.value.decision_id


BAD_CLIPS = [
    ({"prompt": None}, "missing_required_parameter", "prompt"),
    ({"prompt": "  \n"}, "prompt_empty", "prompt"),
    ({"prompt": 7}, "invalid_type", "prompt"),
    ({"prompt": ["a", "b"]}, "invalid_type", "prompt"),
    ({"prompt": "x" * 10_000_000}, "prompt_too_long", "prompt"),
    ({"prompt": "a\x00b"}, "prompt_control_characters", "prompt"),
    ({"prompt": "a\x1b[31m"}, "prompt_control_characters", "prompt"),
    ({"model": "sora-2"}, "model_not_found", "model"),
    ({"model": "pocket-code"}, "model_not_found", "model"),
    ({"model": 7}, "invalid_type", "model"),
    ({"size": "65x64"}, "unsupported_size", "size"),
    ({"size": "large"}, "unsupported_size", "size"),
    ({"size": "4096x4096"}, "over_tier_limit", "size"),
    ({"seconds": "3"}, "unsupported_seconds", "seconds"),
    ({"seconds": "1.5"}, "unsupported_seconds", "seconds"),
    ({"seconds": "0"}, "unsupported_seconds", "seconds"),
    ({"seconds": "600"}, "over_tier_limit", "seconds"),
    ({"steps": 500}, "invalid_value", "steps"),
    ({"steps": 10}, "invalid_value", "steps"),
    ({"seed": -1}, "invalid_value", "seed"),
    ({"seed": "x"}, "invalid_type", "seed"),
]


@pytest.mark.parametrize(("fields", "code", "param"), BAD_CLIPS)
def test_a_bad_clip_gets_its_own_error_and_nothing_happens(plus, fields, code, param):
    before = counts(plus)
    with pytest.raises(ApiError) as refused:
        submit(plus, **fields)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert counts(plus) == before


BAD_CODE = [
    ({"prompt": ""}, "prompt_empty", "prompt"),
    ({"prompt": "word " * 5_000}, "context_length_exceeded", "prompt"),
    ({"max_tokens": 100_000}, "context_length_exceeded", "prompt"),
    ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    ({"max_tokens": "many"}, "invalid_type", "max_tokens"),
    ({"temperature": 3}, "invalid_value", "temperature"),
    ({"temperature": "hot"}, "invalid_type", "temperature"),
    ({"n": 2}, "invalid_value", "n"),
    ({"logprobs": 5}, "invalid_value", "logprobs"),
    ({"stop": ["a"] * 5}, "invalid_value", "stop"),
    ({"stop": [1]}, "invalid_type", "stop"),
    ({"model": "gpt-5"}, "model_not_found", "model"),
]


@pytest.mark.parametrize(("fields", "code", "param"), BAD_CODE)
def test_a_bad_completion_gets_its_own_error_and_nothing_happens(plus, fields, code, param):
    before = counts(plus)
    with pytest.raises(ApiError) as refused:
        submit_code(plus, **fields)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert counts(plus) == before


def test_a_quote_holds_and_writes_nothing(plus):
    before = counts(plus)
    quoted = admission.quote_clip(caller(plus), CLIP)
    assert quoted["quote"].amount_micro == 300_000
    assert admission.quote_code(caller(plus), CODE)["quote"].amount_micro > 0
    assert counts(plus) == before


def test_cancelling_a_waiting_job_costs_nothing_and_is_final(plus):
    job = cancellation.cancel(submit(plus), "changed my mind")
    assert (job.state, job.error_code, job.charge_micro) == (State.CANCELLED, "cancelled", 0)
    job.hold.refresh_from_db()
    assert job.hold.captured == 0
    assert job.hold.state != Hold.State.OPEN
    assert cancellation.cancel(job, "again").state == State.CANCELLED
    assert claim(idle_worker()) is None


def test_cancelling_a_running_clip_charges_the_steps_that_ran(plus):
    job = submit(plus)
    attempt = claim(idle_worker())
    cancellation.cancel(job, "enough")
    assert lease_of(attempt).renew(step=20).cancel
    ended = finalization.cancel_running(lease_of(attempt), Ran(steps=20))
    assert (ended.state, ended.charge_micro) == (State.CANCELLED, 120_000)  # 20 of 50 steps of 0.3 credit
    job.hold.refresh_from_db()
    assert job.hold.captured == 120_000


def test_a_clip_on_its_way_out_can_not_be_cancelled(plus):
    job = submit(plus)
    finalization.begin_finishing(lease_of(claim(idle_worker())), Ran(steps=50))
    with pytest.raises(ApiError, match="can't be cancelled any more"):
        cancellation.cancel(job, "too late")


def test_terms_can_not_be_edited_under_a_job(plus):
    with pytest.raises(DatabaseError):
        TierTerms.objects.filter(tier="plus").update(steps=40)


def test_an_allowed_request_makes_a_bounded_number_of_queries(plus, django_assert_max_num_queries):
    submit(plus)
    with django_assert_max_num_queries(40):
        submit(plus)
