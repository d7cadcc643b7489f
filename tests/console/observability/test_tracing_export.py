"""What a collector gets: OTLP over HTTP from several processes' recorders, one trace, read with its own protobufs."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accounts import tracing
from accounts.tracing import Past
from console.observability import tracing as set_up

pytest.importorskip("opentelemetry.proto", reason="the extra `tracing` is not installed")
import gzip  # noqa: E402

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def collector(monkeypatch):
    """The requests that came to a stand-in's /v1/traces."""
    got: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("BACKLOT_PROCESS", raising=False)
    yield got
    tracing.record_with(None)
    monkeypatch.setattr(set_up, "_provider", None)
    server.shutdown()


def service(request: ExportTraceServiceRequest) -> str:
    attributes = request.resource_spans[0].resource.attributes
    return next(one.value.string_value for one in attributes if one.key == "service.name")


def spans(request: ExportTraceServiceRequest) -> list:
    return [span for scope in request.resource_spans[0].scope_spans for span in scope.spans]


def test_two_processes_tell_one_trace(collector):
    assert set_up.begin("web")
    with tracing.span("POST /v1/videos", kind=tracing.SERVER, parent=f"00-{TRACE}-00f067aa0ba902b7-01"):
        stored = tracing.here()
    set_up.end()
    assert set_up.begin("clips")
    claim = tracing.past(Past("claim", stored, 1_000, 2_000))
    tracing.past(Past("sign", claim, 3_000, 4_000, {"backlot.outcome": "delivered"}))
    set_up.end()
    assert [service(request) for request in collector] == ["backlot-web", "backlot-clips"]
    told = [span for request in collector for span in spans(request)]
    assert {span.trace_id.hex() for span in told} == {TRACE}
    by_name = {span.name: span for span in told}
    assert by_name["claim"].parent_span_id == by_name["POST /v1/videos"].span_id
    assert by_name["sign"].parent_span_id == by_name["claim"].span_id
    assert (by_name["sign"].start_time_unix_nano, by_name["sign"].end_time_unix_nano) == (3_000, 4_000)


def test_what_failed_says_its_kind_and_never_its_message(collector):
    assert set_up.begin("web")
    with pytest.raises(KeyError), tracing.span("decide"):
        raise KeyError("what somebody wrote")
    set_up.end()
    (failed,) = spans(collector[0])
    assert failed.status.message == "KeyError"
    assert b"what somebody wrote" not in collector[0].SerializeToString()


def test_a_parent_that_is_no_traceparent_begins_a_trace(collector):
    assert set_up.begin("web")
    for sent in ("", "nonsense", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01"):
        with tracing.span("request", parent=sent):
            assert len(tracing.trace_id(tracing.here())) == 32
            assert tracing.trace_id(tracing.here()) != "0" * 32
    set_up.end()
    assert len({span.trace_id for span in spans(collector[0])}) == 4
