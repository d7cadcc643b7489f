"""One trace from a request to its delivered clip or answer, over web, ticket, worker, outbox; nothing of the text."""

import time

import pytest
from django.test import Client

from accounts import log_context, tracing
from accounts.identity import key_caller
from console.observability.tracing import OpenTelemetry, resource
from generation import admission, announcements, finalization
from generation.finalization import Ran
from generation.models import Job, JobTrace, Pool, State
from generation.scheduling import tickets
from generation.worker import loop, traces
from generation.worker.station import Station
from tests.generation.api_stage import CLIP, CODE, claimed, tenant

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra `tracing` is not installed")
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"00-{TRACE}-00f067aa0ba902b7-01"
PROMPT = "A blue square moves left over a yellow wall"


@pytest.fixture
def spans():
    """The spans that were told while the test ran."""
    exporter = InMemorySpanExporter()
    provider = sdk.TracerProvider(resource=resource("test"))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.record_with(OpenTelemetry(provider))
    yield exporter
    tracing.record_with(None)


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.CHECKPOINT_ROOT, settings.WORK_ROOT = tmp_path / "checkpoints", tmp_path / "work"


def worked(pool: str, ticket: str = "") -> None:
    station = Station(Pool.objects.get(pk=pool), slots=1, finishing=0)
    try:
        assert loop.work(station, ticket) == 1
    finally:
        station.close()


def by_name(spans) -> dict:
    return {span.name: span for span in spans.get_finished_spans()}


def hexed(span) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent(span) -> str:
    return f"{span.parent.span_id:016x}"


def told(spans) -> str:
    """Everything that left the process, as text."""
    return "\n".join(span.to_json() for span in spans.get_finished_spans())


@pytest.mark.django_db
def test_a_claim_goes_on_where_the_decision_was(spans, client: Client):
    someone = tenant("plus")
    answer = client.post(
        "/v1/videos", {**CLIP, "prompt": PROMPT}, headers={**someone.auth, "traceparent": SENT}
    )
    assert answer.status_code == 200, answer.content
    decide = by_name(spans)["decide"]
    stored = JobTrace.objects.get(job__organization=someone.organization).traceparent
    assert stored == f"00-{TRACE}-{hexed(decide)[1]}-01"
    attempt, lease = claimed()
    with traces.under_way(attempt, time.time_ns()):
        known = dict(log_context.current())
        finalization.fail(lease, Ran(), "internal_error", "This test ended it.")
    announcements.dispatch()
    assert known == {
        "job": str(attempt.job_id),
        "attempt": str(attempt.fence),
        "decision": str(attempt.job.decision_id),
        "trace_id": TRACE,
    }
    claim = by_name(spans)["claim"]
    assert (hexed(claim)[0], parent(claim)) == (TRACE, hexed(decide)[1])
    assert claim.attributes["backlot.job"] == attempt.job.public_id
    assert parent(by_name(spans)["tell video.failed"]) == hexed(decide)[1]
    assert PROMPT not in told(spans)


@pytest.mark.django_db
def test_a_clip_is_one_trace_from_its_request_to_the_outbox(spans, client: Client):
    someone = tenant("plus")
    fields = {**CLIP, "prompt": PROMPT}
    answer = client.post("/v1/videos", fields, headers={**someone.auth, "traceparent": SENT})
    assert answer.status_code == 200, answer.content
    job = Job.objects.get(organization=someone.organization)
    worked("clips")
    announcements.dispatch()
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    found = by_name(spans)
    assert {hexed(span)[0] for span in spans.get_finished_spans()} == {TRACE}
    request, decide, claim, run = (found[name] for name in ("POST /v1/videos", "decide", "claim", "run clip"))
    assert parent(request) == "00f067aa0ba902b7"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["backlot.request_id"] == answer["X-Request-Id"]
    assert parent(decide) == parent(found["screen prompt"]) == hexed(request)[1]
    assert decide.attributes["backlot.decision"] == str(job.decision_id)
    # The stored context is the decision's: the claim, in any other process, goes on from there.
    assert JobTrace.objects.get(job=job).traceparent == f"00-{TRACE}-{hexed(decide)[1]}-01"
    assert parent(claim) == hexed(decide)[1]
    assert parent(run) == hexed(claim)[1]
    assert run.attributes["backlot.outcome"] == "delivered"
    assert run.attributes["backlot.steps"] == job.steps
    stages = {
        span.name for span in spans.get_finished_spans() if span.parent and parent(span) == hexed(run)[1]
    }
    assert {"encode_prompt", "denoise", "checkpoint", "decode", "encode", "scan", "sign", "store"} <= stages
    assert parent(found["tell video.completed"]) == hexed(decide)[1]
    assert run.start_time <= found["sign"].start_time <= found["sign"].end_time <= run.end_time
    assert PROMPT not in told(spans)
    assert someone.owner.email not in told(spans)


@pytest.mark.django_db
def test_a_completion_is_told_in_the_words_of_the_conventions(spans):
    someone = tenant("plus")
    with tracing.span("POST /v1/completions", parent=SENT):
        admission.submit_code(key_caller(someone.raw), {**CODE, "seed": 5})
    worked("code")
    job = Job.objects.get(organization=someone.organization)
    call = by_name(spans)[f"text_completion {job.model.name}"]
    assert hexed(call)[0] == TRACE
    wanted = {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "backlot",
        "gen_ai.request.model": "pocket-code",
        "gen_ai.response.id": job.public_id,
        "gen_ai.request.max_tokens": 32,
        "gen_ai.request.seed": 5,
        "gen_ai.usage.input_tokens": job.tokens_in,
        "gen_ai.usage.output_tokens": job.tokens_out,
        "gen_ai.response.finish_reasons": (job.finish_reason,),
    }
    assert {name: call.attributes.get(name) for name in wanted} == wanted
    assert call.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert "fibonacci" not in told(spans)


@pytest.mark.django_db
def test_a_refused_request_says_why_and_not_what(spans, client: Client):
    someone = tenant("plus", credit=0)
    for _ in range(2):
        answer = client.post("/v1/videos", {**CLIP, "size": "1x1", "prompt": PROMPT}, headers=someone.auth)
        assert answer.status_code == 400
    request = by_name(spans)["POST /v1/videos"]
    assert request.attributes["error.type"] == answer.json()["error"]["code"]
    assert PROMPT not in told(spans)
    assert not JobTrace.objects.exists()


@pytest.mark.django_db
def test_a_ticket_carries_the_trace_and_the_claim_links_to_it(spans, clean_redis, client: Client):
    someone = tenant("plus")
    with tracing.span("request", parent=SENT):
        assert tickets.send("clips")
    message = clean_redis.lrange("clips", 0, -1)[0].decode()
    sent = by_name(spans)["send ticket"]
    ticket = f"00-{TRACE}-{hexed(sent)[1]}-01"
    assert f'"traceparent": "{ticket}"' in message
    client.post("/v1/videos", CLIP, headers=someone.auth)
    worked("clips", ticket)
    claim = by_name(spans)["claim"]
    assert hexed(claim)[0] != TRACE  # another request's trace, and a link to what woke the worker
    assert [f"{link.context.span_id:016x}" for link in claim.links] == [hexed(sent)[1]]


@pytest.mark.django_db
def test_off_nothing_is_stored_and_nothing_is_told(client: Client):
    someone = tenant("plus")
    assert not tracing.on()
    answer = client.post("/v1/videos", CLIP, headers={**someone.auth, "traceparent": SENT})
    assert answer.status_code == 200
    assert not JobTrace.objects.exists()
    assert tracing.here() == ""
