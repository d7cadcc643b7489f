"""Without a collector nothing of OpenTelemetry is imported, and a span costs next to nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accounts import tracing
from console import environment
from console.observability import tracing as set_up

PROJECT = Path(__file__).resolve().parents[3]
WEB = """
import sys
from console.asgi import application
import console.urls, generation.admission, generation.worker.loop
ours = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "opentelemetry.trace.propagation.tracecontext")
print(sorted(name for name in sys.modules if name.startswith(ours)))
"""


def test_a_web_process_imports_nothing_of_it():
    """redis-py imports the parts of it for metrics by itself, wherever the packages are."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    run = subprocess.run(
        [sys.executable, "-c", WEB], cwd=PROJECT, env=quiet, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


def test_a_span_that_nobody_takes_costs_less_than_a_small_query_by_far():
    assert not tracing.on()
    rounds = 20_000
    began = time.process_time()
    for _ in range(rounds):
        with tracing.span("decide") as span:
            span.set(allowed=True)
    each_s = (time.process_time() - began) / rounds
    assert each_s < 20e-6  # 0.4 µs on a quiet core; a round trip to the database is hundreds


def test_an_endpoint_without_the_packages_stops_the_start_and_says_what_to_install(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(environment.BadEnvironment, match=r"backlot\[tracing\]"):
        set_up.begin("web")
    assert not tracing.on()


def test_switched_off_by_its_own_variable(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert set_up.begin("web") is False
    assert not tracing.on()
