"""Traces of a request through every process, where somebody collects them; otherwise a call here costs a comparison.

This module knows no library. `console/observability/tracing.py` gives it a recorder when OTEL_EXPORTER_OTLP_ENDPOINT
is set. A `traceparent` is W3C's text of a span in its trace, "" where there is none. Attributes are ids, names and
figures, never what somebody wrote.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

Value = str | int | float | bool | list[str]
Attributes = Mapping[str, Value]
INTERNAL, SERVER, PRODUCER, CONSUMER = "internal", "server", "producer", "consumer"


class Span(Protocol):
    """A span under way."""

    def set(self, **attributes: Value) -> None:
        """Set attributes; "__" in a name stands for the dot in it."""

    def named(self, name: str) -> None:
        """What it is, known only now."""

    def failed(self, why: str) -> None:
        """It did not do what it was for."""


@dataclass(frozen=True)
class Past:
    """A span that is over, told in one piece. Times in nanoseconds since 1970; `links` are traceparents."""

    name: str
    parent: str
    began_ns: int
    ended_ns: int
    attributes: Attributes = field(default_factory=dict)
    kind: str = INTERNAL
    failed: str = ""
    links: tuple[str, ...] = ()


class Recorder(Protocol):
    """What takes spans."""

    def span(
        self, name: str, attributes: Attributes, kind: str, parent: str
    ) -> AbstractContextManager[Span]: ...

    def under(self, traceparent: str) -> AbstractContextManager[None]: ...

    def past(self, span: Past) -> str: ...

    def here(self) -> str: ...


class _Off:
    """A span that nobody takes."""

    def __enter__(self) -> "_Off":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, **attributes: Value) -> None:
        pass

    def named(self, name: str) -> None:
        pass

    def failed(self, why: str) -> None:
        pass


_OFF = _Off()
_NONE: Attributes = {}
_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """From now on this process's spans go there; None: nowhere."""
    global _recorder
    _recorder = recorder


def on() -> bool:
    """Whether anybody takes spans."""
    return _recorder is not None


def span(
    name: str, attributes: Attributes = _NONE, kind: str = INTERNAL, parent: str = ""
) -> AbstractContextManager[Span]:
    """A span around what is done inside it; under the current one unless `parent` names another."""
    return _OFF if _recorder is None else _recorder.span(name, attributes, kind, parent)


def under(traceparent: str) -> AbstractContextManager[None]:
    """What is told inside is told under that span, which another process or an earlier moment told."""
    return nullcontext() if _recorder is None else _recorder.under(traceparent)


def past(span: Past) -> str:
    """Tell of a span that is over; its traceparent, for spans under it."""
    return "" if _recorder is None else _recorder.past(span)


def here() -> str:
    """The traceparent of the current span."""
    return "" if _recorder is None else _recorder.here()


def trace_id(traceparent: str) -> str:
    """The trace's id, 32 hexadecimal digits, for log lines."""
    return traceparent[3:35]
