"""One trace of a clip, told to a collector by the processes that it really goes through."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from tests.live import Live

service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="the extra `tracing` is not installed"
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STAGES = {"encode_prompt", "denoise", "checkpoint", "decode", "encode", "scan", "sign", "store"}
WEB, CLIPS, UPKEEP = "backlot-web", "backlot-clips", "backlot-upkeep"


@dataclass(frozen=True)
class Told:
    """A span as a process told it."""

    process: str
    name: str
    id: str
    parent: str


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[str, list[Told]]]:
    """An address that takes OTLP over HTTP, and the spans of the test's trace that were sent there."""
    told: list[Told] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = service.ExportTraceServiceRequest.FromString(body)
            for resource in asked.resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                for span in (span for scope in resource.scope_spans for span in scope.spans):
                    if span.trace_id.hex() == TRACE:
                        ids = (span.span_id.hex(), span.parent_span_id.hex())
                        told.append(Told(names["service.name"], span.name, *ids))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not to the output of the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()


@pytest.fixture(scope="module")
def traced(collector) -> Iterator[Live]:
    """A Backlot of its own that tells its traces, as an operator would have it."""
    told_every = {"OTEL_BSP_SCHEDULE_DELAY": "500"}
    with Live(OTEL_EXPORTER_OTLP_ENDPOINT=collector[0], **told_every) as running:
        yield running


def until(holds: Callable[[], bool], what: str, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def test_a_clip_is_one_trace_over_web_worker_and_outbox(traced, collector):
    _, told = collector
    client = openai.OpenAI(api_key=traced.api_key("plus-demo"), base_url=f"{traced.url}/v1", max_retries=5)
    sent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    words = "a red circle moving right over grass"
    clip = client.videos.create(model="pocket-video", prompt=words, seconds="2", extra_headers=sent)
    until(lambda: client.videos.retrieve(clip.id).status in ("completed", "failed"), "the clip ends")
    assert client.videos.retrieve(clip.id).status == "completed"
    until(lambda: any(span.process == UPKEEP for span in told), f"the outbox tells: {told}", 30)
    spans = {span.name: span for span in told}
    request, decide, claim, run = (spans[name] for name in ("POST /v1/videos", "decide", "claim", "run clip"))
    assert (request.process, request.parent) == (WEB, "00f067aa0ba902b7")
    assert (decide.process, decide.parent) == (WEB, request.id)
    assert (claim.process, claim.parent) == (CLIPS, decide.id)
    assert (run.process, run.parent) == (CLIPS, claim.id)
    assert {span.name for span in told if span.parent == run.id} >= STAGES
    completed = spans["tell video.completed"]
    assert (completed.process, completed.parent) == (UPKEEP, decide.id)
