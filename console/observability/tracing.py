"""Traces by OpenTelemetry, for processes whose environment names a collector; nothing of it is imported otherwise.

The packages are the extra `tracing`. The usual OTEL_* variables count: endpoint, headers, sampler, service name.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from accounts import tracing
from accounts.tracing import Attributes, Past, Value
from console import environment as env

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OtelSpan

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SCOPE = "backlot"

_provider: "TracerProvider | None" = None


def begin(process: str) -> bool:
    """Record this process's spans, where a collector is named; whether one is. Called once, at a process's start."""
    global _provider
    if not any(os.environ.get(name) for name in ENDPOINTS) or env.flag("OTEL_SDK_DISABLED", False):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise env.BadEnvironment(
            f"{ENDPOINTS[0]}: traces need the extra packages: pip install 'backlot[tracing]'"
        ) from missing
    _provider = TracerProvider(resource=resource(process))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracing.record_with(OpenTelemetry(_provider))
    return True


def end() -> None:
    """What was recorded is sent, and nothing more is taken. The SDK does so itself when a process exits."""
    if _provider is not None:
        _provider.shutdown()


def resource(process: str):
    """Who records: backlot-web, backlot-clips …, unless OTEL_SERVICE_NAME says otherwise."""
    from opentelemetry.sdk.resources import Resource

    name = os.environ.get("OTEL_SERVICE_NAME") or f"backlot-{os.environ.get('BACKLOT_PROCESS') or process}"
    return Resource.create({"service.name": name, "service.namespace": "backlot", "process.pid": os.getpid()})


class _Live:
    """A span under way, in the words of `accounts.tracing.Span`."""

    def __init__(self, span: "OtelSpan") -> None:
        self._span = span

    def set(self, **attributes: Value) -> None:
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("__", "."), value)

    def named(self, name: str) -> None:
        self._span.update_name(name)

    def failed(self, why: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_status(StatusCode.ERROR, why)


class OpenTelemetry:
    """`accounts.tracing.Recorder` over an SDK's provider."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer(SCOPE)
        self._propagator = TraceContextTextMapPropagator()
        self._trace = trace

    @contextmanager
    def span(self, name: str, attributes: Attributes, kind: str, parent: str) -> Iterator[_Live]:
        """What leaves it as an exception marks it failed by its kind alone: a message may quote what somebody wrote."""
        context = self._context(parent) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=self._kind(kind),
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            live = _Live(span)
            try:
                yield live
            except BaseException as problem:
                code = getattr(problem, "code", None)  # an ApiError's
                span.set_attribute("error.type", code if isinstance(code, str) else type(problem).__name__)
                live.failed(type(problem).__name__)
                raise

    @contextmanager
    def under(self, traceparent: str) -> Iterator[None]:
        from opentelemetry.context import attach, detach

        token = attach(self._context(traceparent))
        try:
            yield
        finally:
            detach(token)

    def past(self, told: Past) -> str:
        span = self._tracer.start_span(
            told.name,
            context=self._context(told.parent),
            kind=self._kind(told.kind),
            attributes=told.attributes,
            start_time=told.began_ns,
            links=[self._link(one) for one in told.links if one],
        )
        if told.failed:
            span.set_attribute("error.type", told.failed)
            _Live(span).failed(told.failed)
        span.end(end_time=max(told.ended_ns, told.began_ns))
        return self._traceparent(self._trace.set_span_in_context(span))

    def here(self) -> str:
        return self._traceparent(None)

    def _traceparent(self, context: "Context | None") -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context)
        return carrier.get("traceparent", "")

    def _context(self, traceparent: str) -> "Context":
        return self._propagator.extract({"traceparent": traceparent} if traceparent else {})

    def _link(self, traceparent: str):
        span = self._trace.get_current_span(self._context(traceparent))
        return self._trace.Link(span.get_span_context())

    def _kind(self, kind: str):
        return self._trace.SpanKind[kind.upper()]
