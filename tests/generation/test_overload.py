"""Refused early, with a Retry-After that is true; and capacity from an endpoint's own metrics."""

from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from django.test import Client
from django.utils import timezone

from accounts.errors import ApiError
from accounts.models import OperationalEvent
from generation import dispatch
from generation.models import EndpointLoad, Job, Lane, LaneOrganization, Pool, PoolOverride
from generation.policy import drain, endpoint
from generation.scheduling import endpoints, overload
from tests.generation.api_stage import CLIP, counts, tenant
from tests.generation.queueing import (
    claim,
    crowd,
    end_as_cancelled,
    idle_worker,
    submit,
    submit_code,
    submit_many,
)

pytestmark = pytest.mark.django_db

METRICS = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="coder"} %d.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="coder"} %d.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="coder"} %s
"""


def bound(pool: str, seconds: float) -> None:
    PoolOverride.objects.create(
        pool_id=pool,
        field="most_wait_s",
        value=seconds,
        author_kind="operator",
        author="op",
        reason="test",
    )


@pytest.fixture
def service_s() -> float:
    """What the schedule expects a Plus clip to take, as nothing was delivered yet."""
    return submit(tenant("plus")).estimate_gpu_ms / 1000


def test_a_fluid_drains_by_weight_and_what_a_lane_leaves_goes_to_the_others():
    backlog, weights = {"free": 90.0, "plus": 60.0}, {"free": 1.0, "plus": 2.0, "pro": 4.0}
    assert drain.drain_s(backlog, weights, "plus", 1) == pytest.approx(90.0)  # two thirds until it is empty
    assert drain.drain_s(backlog, weights, "free", 1) == pytest.approx(
        150.0
    )  # the work in all, ended together
    assert drain.drain_s(backlog, weights, "free", 3) == pytest.approx(50.0)
    assert drain.drain_s(backlog, weights, "pro", 1) == 0.0
    with pytest.raises(ValueError):
        drain.drain_s(backlog, weights, "plus", 0)


def test_a_request_that_would_wait_too_long_is_refused_and_the_retry_after_is_true(client: Client, service_s):
    plus, worker = tenant("plus"), idle_worker()
    submit_many(plus, 9)  # beside the one of the fixture
    bound("clips", 6 * service_s)
    before, jobs = counts(plus), Job.objects.count()
    response = client.post("/v1/videos", CLIP, headers=plus.auth)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "server_is_overloaded")
    # Ten wait before it (its own nine, and the other organization's one): four have to go.
    retry_after = int(response["Retry-After"])
    assert retry_after == pytest.approx(4 * service_s, abs=1.01)
    assert (counts(plus), Job.objects.count()) == (before, jobs)
    assert OperationalEvent.objects.filter(kind="pool.overloaded").count() == 1
    for _ in range(3):
        end_as_cancelled(claim(worker))
    assert client.post("/v1/videos", CLIP, headers=plus.auth).status_code == 503
    # What a device does in the time that was named: the fourth.
    end_as_cancelled(claim(worker))
    assert 3 * service_s < retry_after
    assert client.post("/v1/videos", CLIP, headers=plus.auth).status_code == 200
    assert OperationalEvent.objects.filter(kind="pool.overloaded").count() == 1


def test_a_flood_of_one_organization_shuts_nobody_else_out(service_s):
    flooder = tenant("plus")
    idle_worker()
    submit_many(flooder, 12)
    bound("clips", 3 * service_s)
    with pytest.raises(ApiError) as refused:
        submit(flooder)
    assert refused.value.code == "server_is_overloaded"
    submit(tenant("plus"))  # at most one of each other organization goes before it


def test_nobody_is_refused_without_a_bound_or_without_a_worker(service_s):
    submit_many(tenant("plus"), 5)
    bound("clips", 0.1)
    submit(tenant("plus"))  # no worker: it waits until one comes
    idle_worker()
    bound("clips", 0)
    submit(tenant("plus"))


class Endpoint(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200 if self.body else 500)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_) -> None:
        """Quiet."""


@pytest.fixture
def vllm():
    """A stand-in for an endpoint's /metrics; say (running, waiting, cache share), or nothing: it breaks."""
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    Thread(target=server.serve_forever, daemon=True).start()
    Pool.objects.filter(pk="code").update(metrics_url=f"http://127.0.0.1:{server.server_port}/metrics")

    def says(*values) -> None:
        Endpoint.body = (METRICS % values).encode() if values else b""
        endpoints.look()

    yield says
    server.shutdown()
    server.server_close()


def running_units(units: int) -> None:
    """As if an organization had so many micro-units running in the code pool."""
    place = LaneOrganization.objects.filter(lane="code-pro")
    place.update(running=1, running_units_micro=units)


def test_an_endpoint_with_room_leaves_the_capacity_alone_and_a_full_one_narrows_it(vllm):
    submit_code(tenant("pro", credit=10**9))
    running_units(800_000)
    vllm(12, 0, "0.4")
    load = EndpointLoad.objects.get(pk="code")
    assert (load.running, load.waiting, load.cache_share, load.capacity_units_micro) == (12, 0, 0.4, None)
    assert claim(idle_worker("code")) is not None
    submit_code(tenant("plus"))
    running_units(800_000)
    vllm(12, 4, "0.97")
    assert EndpointLoad.objects.get(pk="code").capacity_units_micro == 600_000  # 12 of its 16 really run
    assert claim(idle_worker("code")) is None
    EndpointLoad.objects.update(
        at=timezone.now() - timedelta(seconds=20)
    )  # what it said is old: it is not believed
    assert claim(idle_worker("code")) is not None


def test_an_endpoint_that_breaks_is_told_of_once_and_narrows_nothing(vllm):
    vllm(12, 4, "0.97")
    vllm()
    vllm()
    load = EndpointLoad.objects.get(pk="code")
    assert load.problem.startswith("HTTPError")
    assert load.capacity_units_micro is None
    assert OperationalEvent.objects.filter(kind="endpoint.unreadable").count() == 1


def test_old_names_and_several_engines_are_understood():
    text = (METRICS % (3, 1, "0.5")).replace(
        "kv_cache", "gpu_cache"
    ) + 'vllm:num_requests_running{engine="1"} 4.0\n'
    assert endpoint.load(endpoints.samples(text)) == endpoint.Load(7, 1, 0.5)
    with pytest.raises(endpoint.Unreadable):
        endpoint.load({"vllm:num_requests_running": 1.0})


def test_an_operators_capacity_is_in_force_at_the_next_claim():
    worker = idle_worker("code")
    submit_code(tenant("pro", credit=10**9))
    assert claim(worker) is not None  # where nothing runs, one job of any size may
    job = submit_code(tenant("pro", credit=10**9))
    override = PoolOverride.objects.create(
        pool_id="code",
        field="capacity_units_micro",
        value=1,
        author_kind="operator",
        author="op",
        reason="test",
        expires_at=timezone.now() + timedelta(hours=1),
    )
    assert dispatch.claim(worker, "code") is None
    PoolOverride.objects.filter(pk=override.pk).update(removed_at=timezone.now(), removed_by="op")
    assert dispatch.claim(worker, "code").job_id == job.pk


def test_room_asks_nothing_more_where_nothing_waits(django_assert_num_queries):
    plus = tenant("plus")
    lane, model = Lane.objects.select_related("pool").get(pk="clips-plus"), submit(plus).model
    Job.objects.filter(lane=lane).update(state="cancelled", state_cause="test", finished_at=timezone.now())
    found = crowd(plus)
    with django_assert_num_queries(0):
        assert overload.expected(found, lane, model, 4_000, timezone.now()) is None
