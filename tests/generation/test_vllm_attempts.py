"""Completions by a server behind the worker: delivered, cancelled, continued after a death, waited for, never lost."""

import math
import subprocess
import sys

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import OperationalEvent
from billing.models import Hold
from generation import admission, cancellation
from generation.evaluation import deploy
from generation.models import (
    Attempt,
    EndpointLoad,
    Job,
    Lane,
    LaneOverride,
    ModelLoad,
    PoolOverride,
    RegisteredModel,
    State,
    TokenSegment,
)
from generation.revisions import loading
from generation.scheduling import endpoints, overload
from generation.scheduling.endpoint_priorities import Priorities
from generation.worker import loop
from tests.generation import vllm_stage
from tests.generation.api_stage import tenant
from tests.generation.live import wait_for
from tests.generation.queueing import caller, crowd
from tests.generation.vllm_stand_in import StandIn, standing_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def server():
    with standing_in(vllm_stage.FOLDER) as stand_in:
        yield stand_in


@pytest.fixture
def station(server):
    vllm_stage.coder(server.url)
    station = vllm_stage.station()
    yield station
    station.close()


def submit(who, **fields) -> Job:
    values = {"prompt": "def mean(values):\n", "model": vllm_stage.NAME, "max_tokens": 16, "seed": 1}
    return admission.submit_code(caller(who), values | fields)


def ids_of(job: Job) -> list[int]:
    rows = TokenSegment.objects.filter(job=job).order_by("seq").values_list("ids", flat=True)
    return [token for ids in rows for token in ids]


def test_a_completion_is_delivered_and_charged_for_its_tokens(station, server):
    job = submit(tenant("plus"))
    assert loop.work(station) == 1
    job.refresh_from_db()
    assert (job.state, job.finish_reason, job.tokens_out) == (State.DELIVERED, "length", 16)
    assert len(ids_of(job)) == 16
    assert 0 < job.charge_micro <= job.quote_micro
    attempt = Attempt.objects.get(job=job)
    assert (attempt.device, attempt.threads) == ("vllm 0.32.0", 1)
    asked = server.asked[-1]
    assert (asked["max_tokens"], asked["temperature"], asked["seed"]) == (16, 0.7, 1)


def test_the_lanes_weight_in_force_is_the_requests_priority(station, server):
    submit(tenant("free"))
    submit(tenant("enterprise"))
    loop.work(station)
    assert sorted(asked["priority"] for asked in server.asked) == [-800, -100]
    LaneOverride.objects.create(
        lane_id="coder-free", field="weight", value=9, author_kind="operator", author="op", reason="test"
    )
    assert Priorities("coder").of_lane("coder-free") == -900
    assert Priorities("coder").of_lane("clips-free") == 0


def test_a_cancelled_answer_is_aborted_on_the_server(station, server):
    job = submit(tenant("plus"), max_tokens=400)
    engine = station.engine(job.model)
    original = engine.stream

    def cancelling(work):
        for number, piece in enumerate(original(work)):
            if number == 10:
                Job.objects.update(cancel_requested_at=Now())
            yield piece

    engine.stream = cancelling
    loop.work(station)
    assert wait_for(lambda: server.counters["aborted"] == 1) < 1.0
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert 0 < job.tokens_out < 60
    assert Hold.objects.get().captured == job.charge_micro


def test_one_that_waits_inside_the_server_is_cancelled_too(station, server):
    server.token_s = 30.0
    job = submit(tenant("plus"))
    engine = station.engine(job.model)
    original = engine.stream

    def cancelling(work):
        for piece in original(work):
            Job.objects.update(cancel_requested_at=Now())
            yield piece

    engine.stream = cancelling
    loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.tokens_out, job.charge_micro) == (State.CANCELLED, 0, 0)
    assert wait_for(lambda: server.counters["aborted"] == 1) < 1.0


def test_after_a_death_the_next_attempt_goes_on_from_the_stored_tokens(station, server):
    whole = submit(tenant("plus"), temperature=0)
    loop.work(station)
    job = submit(tenant("plus"), temperature=0)
    server.dies_after = 9
    original = station.engine(job.model).stream
    station.engine(job.model).stream = lambda work: _revived(server, original, work)
    loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.attempts_failed, job.tokens_out) == (State.DELIVERED, 1, 16)
    assert ids_of(job) == ids_of(whole)
    first, second = Attempt.objects.filter(job=job).order_by("fence")
    assert (first.outcome, second.outcome) == ("failed", "delivered")
    assert 0 < second.resumed_from_step <= 9
    assert len(server.asked[-1]["prompt"]) == len(server.asked[0]["prompt"]) + second.resumed_from_step


def _revived(server: StandIn, stream, work):
    """The server lives on from the second attempt."""
    if work.given:
        server.dies_after = 10_000
    yield from stream(work)


def test_one_that_kills_its_server_three_times_fails_uncharged(station, server):
    job = submit(tenant("plus"))
    server.dies_after = 0
    loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.attempts_failed, job.charge_micro) == (State.FAILED, 3, 0)
    assert Hold.objects.get().captured == 0


def test_a_full_server_costs_the_job_nothing(station, server):
    server.most = 0
    job = submit(tenant("plus"))
    station.stopping.set()
    attempt = station.claims.next()
    loop.run(attempt, station)
    job.refresh_from_db()
    assert (job.state, job.attempts_failed, Attempt.objects.get().outcome) == (State.QUEUED, 0, "handed_back")
    station.stopping.clear()
    server.most = None
    loop.work(station)
    job.refresh_from_db()
    assert job.state == State.DELIVERED


def test_a_server_that_is_away_holds_its_jobs_and_refuses_new_ones_until_it_is_back(station, server):
    job = submit(tenant("plus"))
    model = job.model
    gone = EndpointGone(station, model)
    with gone:
        loop.run(station.claims.next(), station)
        job.refresh_from_db()
        assert (job.state, job.attempts_failed) == (State.QUEUED, 0)
        assert "can't be reached" in ModelLoad.objects.get(model=model).problem
        endpoints.look()
        load = EndpointLoad.objects.get(pk="coder")
        assert (load.capacity_units_micro, load.away_at is not None) == (1, True)
        endpoints.look()
        assert OperationalEvent.objects.filter(kind="endpoint.away").count() == 1
        with pytest.raises(admission.ApiError) as refused:
            submit(tenant("pro"))
        assert (refused.value.code, refused.value.status) == ("model_unavailable", 503)
        assert refused.value.retry_after_s > 0
    endpoints.look()
    assert not ModelLoad.objects.exclude(problem="").exists()
    other = submit(tenant("pro"))
    loop.work(station)
    assert set(Job.objects.values_list("state", flat=True)) == {State.DELIVERED}
    assert other.model_id == model.pk


class EndpointGone:
    """The model's row and its pool name a port where nothing listens."""

    def __init__(self, station, model: RegisteredModel) -> None:
        self.station, self.model = station, model

    def __enter__(self) -> None:
        self._point_at("http://127.0.0.1:9", self.model.facts["options"]["url"])

    def __exit__(self, *_) -> None:
        self._point_at(self.model.facts["options"]["url"], "http://127.0.0.1:9")

    def _point_at(self, url: str, before: str) -> None:
        facts = {**self.model.facts, "options": {**self.model.facts["options"], "url": url}}
        RegisteredModel.objects.filter(pk=self.model.pk).update(facts=facts)
        self.model.pool.__class__.objects.filter(pk="coder").update(metrics_url=f"{url}/metrics")
        self.station.engines._loads.clear()


def test_what_the_server_refuses_ends_the_job_at_once_uncharged(station, server):
    job = submit(tenant("plus"), max_tokens=64)
    server.context = 8
    loop.work(station)
    job.refresh_from_db()
    assert (job.state, job.error_code) == (State.FAILED, "context_length_exceeded")
    assert (job.charge_micro, Attempt.objects.filter(job=job).count()) == (0, 1)


def test_what_would_wait_too_long_behind_a_full_server_is_refused_with_the_time_to_come_back(station, server):
    RegisteredModel.objects.filter(name="coder").update(gpu_ms_per_step=1_000)
    PoolOverride.objects.create(
        pool_id="coder", field="most_wait_s", value=20, author_kind="operator", author="op", reason="test"
    )
    submit(tenant("plus"))
    server.running += [None]
    server.waiting += [None] * 3  # others' requests, inside it
    endpoints.look()
    job = submit(tenant("plus"))  # one before it: about 16 s on the one seat that serves
    whose = tenant("plus")
    lane, now = Lane.objects.get(pk="coder-plus"), timezone.now()
    expected = overload.expected(crowd(whose, "code"), lane, job.model, job.estimate_gpu_ms, now)
    assert 2 * 16 <= expected.wait_s < 2 * 20
    with pytest.raises(admission.ApiError) as refused:
        submit(whose)
    assert (refused.value.code, refused.value.status) == ("server_is_overloaded", 503)
    assert refused.value.retry_after_s == math.ceil(expected.wait_s - 20)
    assert not Hold.objects.filter(organization_id=whose.organization.pk).exists()


def test_the_prefix_cache_is_read_with_the_load(station, server):
    prompt = "".join(f"value_{number} = {number}\n" for number in range(20))
    for _ in range(2):
        submit(tenant("plus"), prompt=prompt)
    loop.work(station)
    assert endpoints.look() == 1
    load = EndpointLoad.objects.get(pk="coder")
    assert (load.prefix_queries, load.prefix_hits) == (server.counters["queries"], server.counters["hits"])
    assert 0 < load.prefix_hits < load.prefix_queries


def test_the_deploy_gate_asks_the_server(server):
    model = vllm_stage.coder(server.url)
    run = deploy.run(model, loading.load, "a test")
    assert (run.passed, run.device, run.figures["answered"]) == (True, "vllm 0.32.0", 1.0)


def test_cancelled_while_it_waits_costs_nothing_and_asks_nothing(station, server):
    job = submit(tenant("plus"))
    cancellation.cancel(job, "gone")
    assert loop.work(station) == 0
    assert server.asked == []


def test_its_worker_brings_no_torch():
    code = (
        "import django, sys; django.setup();"
        "import generation.tasks, generation.worker.station;"
        "from generation.worker import loop; loop.runner('code');"
        "import generation.evaluation.candidates, generation.engines.vllm.engine;"
        "import generation.scheduling.endpoint_priorities;"
        "print([name for name in ('torch', 'transformers', 'diffusers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
