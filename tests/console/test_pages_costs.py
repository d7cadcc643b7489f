"""The page Costs: the sandbox and the bad days as published, beside what attempts here took, wasted and saved."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Override
from generation import finalization
from generation.costs import gpu_prices, measured, summary
from generation.finalization import Ran
from generation.models import Attempt, Job, PoolOverride
from tests.console.people import clip, operator, person
from tests.generation.api_stage import claimed, deliver, media_folder

__all__ = ["media_folder"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
PAGE = "/operate/costs/"
HOUR = timedelta(hours=1)


def lately() -> measured.Measured:
    now = timezone.now() + timedelta(seconds=5)
    return measured.measured(now - HOUR, now)


def rewritten(attempt: Attempt, **values) -> None:
    """The record of an ended attempt as a test wants it; its guard, which refuses that, doesn't look."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        Attempt.objects.filter(pk=attempt.pk).update(**values)
        cursor.execute("SET LOCAL session_replication_role = origin")


def broke(step: int, gpu_ms: int, outcome: str = "failed") -> Attempt:
    """The waiting clip is claimed and its attempt breaks off at a step; it waits again."""
    attempt, lease = claimed()
    Attempt.objects.filter(pk=attempt.pk).update(step=step)
    finalization.attempt_failed(lease, Ran(gpu_ms=gpu_ms, steps=step), "a test broke it")
    rewritten(attempt, outcome=outcome)
    return attempt


def resumed(job: Job, at: int, gpu_ms: int) -> None:
    """The waiting clip is taken to its end, from a step on."""
    deliver(job)
    last = Attempt.objects.filter(job=job).latest("pk")
    rewritten(last, gpu_ms=gpu_ms, step=job.steps, resumed_from_step=at, stages={"denoise": gpu_ms / 1000})


def test_the_baseline_and_the_published_days_stand_on_the_page():
    client, _ = operator()
    page = client.get(PAGE).content.decode()
    for figure in (
        "4,000 <small>GPUs",
        "$14,000 <small>an hour",
        "$10,220,000 a month",
        "$0.19444",
        "Balanced",
    ):
        assert figure in page
    for figure in (
        "$8.42/h",
        "$421 / $28, a factor of 15",
        "3 clips delivered",
        "$922.40",
        "$660/h / $132/h",
    ):
        assert figure in page
    for consistent in (
        "$21/h",
        "$4.20/h",
        "360 clips",
        "112.5 clips",
        "$420",
        "$39.60/h, not $660/h",
        "$0.10",
    ):
        assert consistent in page
    assert "no clip was delivered in the range" in page


def test_the_address_holds_what_is_asked_and_what_can_not_be_is_said():
    client, _ = operator()
    page = client.get(PAGE, {"rate": "40", "p99": "30", "hits": "0", "price": "2"}).content.decode()
    assert "16,843 <small>GPUs" in page  # 4,000 × 40 ÷ 19 × 2 = 16,842.1
    assert "Latency" in page
    assert "$33,686 <small>an hour" in page
    partial = client.get(f"{PAGE}figures", {"rate": "40", "hits": "5"})
    assert partial["HX-Replace-Url"] == f"{PAGE}?rate=40"
    assert b"8,000 <small>GPUs" in partial.content
    assert b"<html" not in partial.content
    for wrong in ({"rate": "0"}, {"hits": "101"}, {"price": "-1"}, {"rate": "nan"}, {"p99": "soon"}):
        answer = client.get(PAGE, wrong)
        assert answer.status_code == 400
        assert b"The figure below is at its default." in answer.content


def test_only_operators_see_it():
    client, _ = person()
    assert client.get(PAGE).status_code in (302, 403, 404)


def test_waste_by_cause_and_what_checkpoints_saved_are_counted_step_by_step():
    _, caller = person(tier="pro")
    job = clip(caller)
    steps = job.steps
    broke(step=steps - 2, gpu_ms=(steps - 2) * 100)
    resumed(job, at=10, gpu_ms=(steps - 10) * 100)
    found = lately()
    ours = summary.summary(found)
    waste = {one.cause: one for one in ours.waste}
    assert found.delivered == 1
    assert found.gpu_ms == (2 * steps - 12) * 100
    assert waste["retried"].gpu_ms == (steps - 12) * 100  # of its steps, the first ten were kept
    assert ours.saved_gpu_ms == 10 * 100
    assert sum(one.gpu_ms for one in ours.waste) == waste["retried"].gpu_ms
    assert ours.micro_dollars == round((2 * steps - 12) * 100 * 3_500_000 / 3_600_000)
    fleet = summary.fleet(found, 300_000_000, timezone.now())
    assert fleet.steps == steps
    assert fleet.clip_gpu_s == steps * 100 / 1000  # what was kept is one whole clip
    assert summary.failing_share(found) == 0.5
    page = operator()[0].get(PAGE).content.decode()
    assert "of the attempts, 50 % failed or were lost" in page
    assert f"{steps} steps a clip" in page
    assert "Redone after a failed attempt" in page


def test_a_lost_worker_without_a_checkpoint_and_a_clip_that_was_not_finite_waste_all_they_took():
    _, caller = person(tier="pro")
    job = clip(caller)
    broke(step=3, gpu_ms=300, outcome="lost")
    resumed(job, at=0, gpu_ms=1_000)
    clip(caller, "a green square")
    _, lease = claimed()
    finalization.fail(lease, Ran(gpu_ms=77, steps=1), "not_finite", "Not finite.")
    ours = summary.summary(lately())
    waste = {one.cause: one.gpu_ms for one in ours.waste}
    assert waste == {"retried": 0, "lost": 300, "preempted": 0, "not_finite": 77, "failed": 0, "blocked": 0}
    assert ours.saved_gpu_ms == 0
    assert summary.fleet(lately(), 0, timezone.now()).not_finite_gpu_s * 1000 == 77


def test_what_its_owner_cancelled_is_not_waste():
    _, caller = person(tier="pro")
    clip(caller)
    _, lease = claimed()
    finalization.cancel_running(lease, Ran(gpu_ms=500, steps=1))
    ours = summary.summary(lately())
    assert (ours.wasted_gpu_ms, ours.cancelled.gpu_ms) == (0, 500)


def test_an_attempt_costs_what_its_pool_cost_when_it_began():
    client, user = operator()
    answer = client.post(
        "/operate/scheduling/pool/clips/gpu_hour_micro_dollars", {"value": "7.2", "reason": "a new contract"}
    )
    assert answer.status_code == 302
    override = PoolOverride.objects.get()
    assert override.value == 7_200_000
    changed, now = override.created_at, timezone.now()
    prices = [price for price in gpu_prices.over(now - HOUR, now) if price.pool == "clips"]
    assert [(price.micro_dollars, price.until) for price in prices] == [
        (3_500_000, changed),
        (7_200_000, now),
    ]
    for seconds, cost in ((-600, 3_500_000), (1, 7_200_000)):
        _, caller = person(tier="pro")
        job = clip(caller, f"a circle at {seconds} s")
        resumed(job, at=0, gpu_ms=3_600_000)
        rewritten(Attempt.objects.get(job=job), started_at=changed + timedelta(seconds=seconds))
        costs = {int(part.micro_dollars(part.gpu_ms)) for part in lately().parts}
        assert cost in costs
    assert summary.summary(lately()).micro_dollars == 10_700_000
    page = client.get(PAGE, {"range": "1h"}).content.decode()
    assert "$7.20 <small>an hour, clips" in page
    assert "clips: $3.50 until" in page


def test_the_history_of_a_price_knows_expiries_and_removals():
    now = timezone.now()
    minutes = [timedelta(minutes=count) for count in range(61)]
    for value, begins, ends in ((5_000_000, 50, 40), (6_000_000, 30, 20)):
        PoolOverride.objects.create(
            pool_id="clips",
            field="gpu_hour_micro_dollars",
            value=value,
            author_kind=Override.AuthorKind.OPERATOR,
            author="test",
            reason="test",
            created_at=now - minutes[begins],
            **(
                {"expires_at": now - minutes[ends]}
                if ends == 40
                else {"removed_at": now - minutes[ends], "removed_by": "test"}
            ),
        )
    found = [price for price in gpu_prices.over(now - HOUR, now) if price.pool == "clips"]
    assert [(price.micro_dollars, price.since) for price in found] == [
        (3_500_000, now - HOUR),
        (5_000_000, now - minutes[50]),
        (3_500_000, now - minutes[40]),
        (6_000_000, now - minutes[30]),
        (3_500_000, now - minutes[20]),
    ]


def test_figures_are_of_the_newest_attempts_where_there_are_too_many(monkeypatch):
    _, caller = person(tier="pro")
    for name in ("one", "two", "three"):
        resumed(clip(caller, f"a circle {name}"), at=0, gpu_ms=1_000)
    monkeypatch.setattr(measured, "MOST_ATTEMPTS", 2)
    found = lately()
    assert found.cut
    assert found.delivered == 2
    assert found.since == Attempt.objects.order_by("-pk")[1].started_at


def test_as_many_queries_for_many_attempts_as_for_few():
    client, _ = operator()
    _, caller = person(tier="pro")

    def asked() -> int:
        client.get(PAGE)
        with CaptureQueriesContext(connection) as found:
            assert client.get(PAGE).status_code == 200
        return len(found)

    resumed(clip(caller), at=0, gpu_ms=1_000)
    few = asked()
    for count in range(6):
        resumed(clip(caller, f"a circle, number {count}"), at=0, gpu_ms=1_000)
    assert asked() == few
    assert few <= 24
