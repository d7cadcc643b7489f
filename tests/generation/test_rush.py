"""Slots that only wait, everything else as in production: who gets them while somebody floods. Admission, claim, the
settlement at the end and the auto-raise rule are the real ones; `make bench NAME=rush` does the same at length."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pytest
from django.db import connection

from accounts import keys
from accounts.identity import Caller
from generation import admission, dispatch
from generation.models import Attempt, Job, PoolSettings
from generation.scheduling import auto_raise
from generation.simulator.quantiles import quantile
from tests.generation.api_stage import Tenant, tenant
from tests.generation.queueing import CLIP, end_as_cancelled, idle_worker, submit, submit_many

pytestmark = pytest.mark.django_db

SLOTS, CLIP_S, SHARED_S = 6, 0.4, 3.2


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""
    PoolSettings.objects.filter(pool="clips").update(
        most_wait_s=0
    )  # the order is at stake, nobody is refused


@dataclass(frozen=True)
class Span:
    """A stretch of time in which slots took jobs; by the database's clock."""

    began: object
    ended: object

    def waits(self, tenants: Iterable[Tenant]) -> list[float]:
        """Of every job that came until the end; one that waits still, or had to until later, with its age."""
        jobs = Job.objects.filter(organization__in=[one.organization for one in tenants])
        return [
            (min(job.started_at or self.ended, self.ended) - max(job.queued_at, self.began)).total_seconds()
            for job in jobs.filter(queued_at__lt=self.ended)
        ]

    def p95(self, *tenants: Tenant) -> float:
        return quantile(self.waits(tenants), 0.95)

    def slot_s(self, one: Tenant) -> float:
        """Slot time inside the span."""
        turns = Attempt.objects.filter(organization=one.organization, started_at__lt=self.ended)
        return sum((min(turn.ended_at, self.ended) - turn.started_at).total_seconds() for turn in turns)


def live(
    span_s: float, arrive: Callable[[float], None], lasts: Callable[[Job], float] = lambda _: CLIP_S
) -> Span:
    """All slots claim for so long, and `arrive` is called over and over with the seconds since the beginning."""
    over, ready = threading.Event(), threading.Barrier(SLOTS + 1)
    threads = [threading.Thread(target=_slot, args=(over, ready, lasts)) for _ in range(SLOTS)]
    threads.append(threading.Thread(target=_look, args=(over,)))
    for thread in threads:
        thread.start()
    ready.wait()
    began, clock = dispatch.clock(), time.monotonic()
    while (now := time.monotonic() - clock) < span_s:
        arrive(now)
        time.sleep(0.02)
    ended = dispatch.clock()
    over.set()
    for thread in threads:
        thread.join()
    return Span(began, ended)


def _slot(over: threading.Event, ready: threading.Barrier, lasts: Callable[[Job], float]) -> None:
    try:
        worker = idle_worker()
        dispatch.claim(
            worker, "code"
        )  # nothing waits there; the connection is open and its statements planned
        ready.wait()
        while not over.is_set():
            attempt = dispatch.claim(worker, "clips")
            if attempt is None:
                over.wait(0.01)
                continue
            took = lasts(attempt.job)
            time.sleep(took)
            end_as_cancelled(attempt, gpu_ms=round(1000 * took), steps=attempt.job.steps)
    finally:
        connection.close()


def _look(over: threading.Event) -> None:
    try:
        while not over.wait(1.0):
            auto_raise.run(dispatch.clock())
    finally:
        connection.close()


def in_turn(tenants: Sequence[Tenant], every_s: float) -> Callable[[float], None]:
    """One clip at each such interval, from one after the other."""
    sent = []

    def arrive(now: float) -> None:
        while len(sent) * every_s <= now:
            sent.append(submit(tenants[len(sent) % len(tenants)]))

    return arrive


def nobody(now: float) -> None:
    """All that comes is there already."""


def test_plus_waits_for_a_slot_and_not_for_the_free_rush():
    free = [tenant("free", credit=10**9) for _ in range(14)]
    for one in free:
        submit_many(one, 8)
    plus = [tenant("plus") for _ in range(4)]
    span = live(5.0, in_turn(plus, 0.4))
    assert len(span.waits(plus)) >= 6
    # In the order of arrival 112 free clips would go first, and nobody of Plus would start: the two would be alike.
    assert span.p95(*plus) < span.p95(*free) / 2
    assert span.p95(*free) > 8 * CLIP_S
    assert sum(span.slot_s(one) for one in free) > 5 * CLIP_S  # and the free tier gets the rest


def test_a_flood_inside_the_plus_lane_waits_by_itself():
    flooder = tenant("plus", credit=10**9)
    submit_many(flooder, 56)
    others = [tenant("plus") for _ in range(4)]
    span = live(4.0, in_turn(others, 0.4))
    # In the order of arrival, which a priority for all of Plus leaves them in, 56 clips would go before the others'.
    assert span.p95(*others) < span.p95(flooder) / 2
    assert span.p95(flooder) > 6 * CLIP_S


def flooders_share(flood: Callable[[Tenant], None], lasts_s: float) -> float:
    """The flooder's part of all slot time beside two others that always wait."""
    flooder, *others = (tenant("plus", credit=10**9) for _ in range(3))
    flood(flooder)
    for other in others:
        submit_many(other, 34)
    span = live(
        2.4, nobody, lambda job: lasts_s if job.organization_id == flooder.organization.pk else CLIP_S
    )
    for one in (flooder, *others):
        assert Job.objects.filter(organization=one.organization, state="queued").exists(), "it ran dry"
    Job.objects.filter(state="queued").update(state="cancelled", state_cause="this trial is over")
    parts = [span.slot_s(one) for one in (flooder, *others)]
    return parts[0] / sum(parts)


def through_keys(flooder: Tenant) -> None:
    made = [keys.create(flooder.organization, f"key {n}", keys.SCOPES, flooder.owner)[0] for n in range(17)]
    for number in range(34):
        key = made[number % len(made)]
        caller = Caller(flooder.organization, flooder.owner, key, frozenset({"read", "generate"}))
        admission.submit_clip(caller, CLIP)


def test_many_keys_or_small_clips_gain_a_flooder_nothing():
    whole = flooders_share(lambda flooder: submit_many(flooder, 34), CLIP_S)
    by_keys = flooders_share(through_keys, CLIP_S)
    small = flooders_share(lambda flooder: submit_many(flooder, 58), CLIP_S / 2)
    assert whole == pytest.approx(1 / 3, abs=0.08)
    # A clip of each slot, of the slots' time in all, is how far the ends of a span can lie apart.
    bound = SLOTS * CLIP_S / (SLOTS * SHARED_S)
    assert by_keys < whole + bound
    assert small < whole + bound
