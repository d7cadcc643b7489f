"""A completion on the shipped model: streamed in segments, continued by another worker, cancelled, charged by token."""

import pytest
from django.db.models.functions import Now

from billing.models import Hold
from generation import cancellation
from generation.engines.asked import Piece
from generation.models import Attempt, Job, Pool, State, TokenSegment
from generation.policy import cost
from generation.worker import code_attempt, loop
from generation.worker.station import Station
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit_code

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    station = Station(Pool.objects.get(pk="code"), slots=1)
    yield station
    station.close()


def text_of(job: Job) -> str:
    return "".join(TokenSegment.objects.filter(job=job).order_by("seq").values_list("text", flat=True))


def test_a_completion_is_streamed_stored_and_charged_for_its_tokens(station):
    job = submit_code(tenant("plus"), max_tokens=24, seed=1)
    assert loop.work(station) == 1
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    assert job.finish_reason in ("stop", "length")
    assert 0 < job.tokens_out <= 24
    assert job.tokens_out == sum(len(ids) for ids in TokenSegment.objects.values_list("ids", flat=True))
    units = cost.token_units_micro(job.tokens_in + job.tokens_out)
    assert job.charge_micro == pytest.approx(units * 0.3, abs=1)
    assert job.charge_micro <= job.quote_micro
    assert [segment.seq for segment in TokenSegment.objects.order_by("seq")] == list(
        range(1, TokenSegment.objects.count() + 1)
    )


def test_many_streams_of_one_worker_write_less_often_but_never_seldomer_than_it_says_that_it_lives(station):
    waits = [code_attempt.flush_s(streams) for streams in (1, 2, 6, 8, 16, 500)]
    assert waits == pytest.approx([0.1, 0.1, 0.1, 0.125, 0.25, 0.25])
    assert max(waits) <= code_attempt.RENEW_S  # a cancellation is heard of with what is written
    submit_code(tenant("plus"), max_tokens=4)
    loop.work(station)
    assert code_attempt._under_way == set()


def test_handed_back_in_the_middle_another_worker_writes_the_same_answer(station):
    plus = tenant("plus")
    whole = submit_code(plus, max_tokens=40, seed=3, temperature=0.8)
    loop.work(station)
    job = submit_code(plus, max_tokens=40, seed=3, temperature=0.8)
    engine = station.engine(job.model)
    original = type(engine).stream

    def stopping(*args, **kwargs):
        for number, piece in enumerate(original(engine, *args, **kwargs)):
            if number == 12:
                station.stopping.set()
            yield piece

    engine.stream = stopping
    loop.work(station)
    job.refresh_from_db()
    assert job.state == State.QUEUED
    assert 0 < len(text_of(job)) < len(text_of(whole))
    other = Station(Pool.objects.get(pk="code"), slots=1)
    loop.work(other)
    other.close()
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    assert text_of(job) == text_of(whole)
    assert Attempt.objects.filter(job=job).count() == 2


def test_a_cancelled_stream_is_charged_for_what_was_delivered(station):
    job = submit_code(tenant("plus"), max_tokens=200, seed=2)
    engine = station.engine(job.model)
    original = type(engine).stream

    def cancelling(*args, **kwargs):
        for number, piece in enumerate(original(engine, *args, **kwargs)):
            if number == 10:
                Job.objects.update(cancel_requested_at=Now())
            yield piece

    engine.stream = cancelling
    loop.work(station)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert 0 < job.tokens_out < 60
    assert 0 < job.charge_micro < job.quote_micro
    assert Hold.objects.get().captured == job.charge_micro


def test_cancelled_while_it_waits_costs_nothing(station):
    job = submit_code(tenant("plus"))
    cancellation.cancel(job, "gone")
    assert loop.work(station) == 0
    assert not TokenSegment.objects.exists()


def test_what_postgresql_can_not_hold_is_replaced_and_not_fatal(station):
    job = submit_code(tenant("plus"), max_tokens=8)
    station.engine(job.model).stream = lambda *args, **kwargs: iter_pieces("a\0b")
    loop.work(station)
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    assert text_of(job) == "a\ufffdb"


def iter_pieces(text: str):
    yield Piece(text, (1, 2), "stop")
