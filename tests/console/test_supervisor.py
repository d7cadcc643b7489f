"""The supervisor: restarts what ends, passes lines on, drains, and takes its children with it."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from console.embedded.locks import FileLock
from console.supervisor import address, presence
from console.supervisor.output import Output
from console.supervisor.programs import Program, all_programs
from console.supervisor.supervision import LONGEST_PAUSE_S, Supervision, pause_s
from tests.console.holders import PROJECT, seconds_until_gone


def python(name: str, code: str) -> Program:
    return Program(name, (sys.executable, "-u", "-c", code))


def supervise(*programs: Program, **options) -> tuple[Supervision, io.StringIO]:
    stream = io.StringIO()
    return Supervision(list(programs), Output(stream), **options), stream


def turn_until(supervision: Supervision, reached, limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not reached():
        assert time.monotonic() < end, "not reached in time"
        supervision.turn(0.05)


READY_AND_WAIT = "import time; print('ready'); time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(60)"
)
DRAINING = """
import signal, sys, time
def drain(*_):
    print("handed back")
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
print("ready")
time.sleep(60)
"""


def test_pauses_double_up_to_half_a_minute():
    assert [pause_s(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause_s(1000) == LONGEST_PAUSE_S


def test_what_ends_is_started_again_and_the_others_are_left_alone():
    supervision, stream = supervise(
        python("clips", "print('once'); raise SystemExit(3)"), python("web", READY_AND_WAIT)
    )
    turn_until(supervision, lambda: stream.getvalue().count("once") == 2)
    assert stream.getvalue().count("ready") == 1
    assert supervision.slots[0].failures >= 1
    assert supervision.hopeless() == []
    supervision.stop()


def test_every_line_stands_behind_its_name_even_the_last_without_newline():
    supervision, stream = supervise(python("clips", "import sys; print('one'); sys.stdout.write('two')"))
    turn_until(supervision, lambda: "two" in stream.getvalue())
    assert stream.getvalue().splitlines()[:2] == ["clips  | one", "clips  | two"]
    supervision.stop()


def test_json_lines_pass_and_others_are_wrapped(monkeypatch):
    monkeypatch.setenv("LOG_FORMAT", "json")
    supervision, stream = supervise(
        python("code", """print('{"event": "own"}'); print('plain'); import time; time.sleep(60)""")
    )
    turn_until(supervision, lambda: "plain" in stream.getvalue())
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {"event": "own"}
    assert (second["process"], second["event"]) == ("code", "plain")
    supervision.stop()


def test_stop_lets_children_drain_and_shows_their_last_words():
    supervision, stream = supervise(python("clips", DRAINING))
    turn_until(supervision, lambda: "ready" in stream.getvalue())
    assert supervision.stop() == []
    assert "clips  | handed back" in stream.getvalue()


def test_what_does_not_stop_is_killed_and_named():
    supervision, stream = supervise(python("clips", STUBBORN), python("web", READY_AND_WAIT), drain_s=1)
    turn_until(supervision, lambda: stream.getvalue().count("ready") == 2)
    children = {slot.program.name: slot.child.process.pid for slot in supervision.slots}
    began = time.monotonic()
    assert supervision.stop() == ["clips"]
    assert time.monotonic() - began < 5
    seconds_until_gone(children, 1)


def test_a_second_signal_ends_the_patience():
    supervision, stream = supervise(python("clips", STUBBORN), drain_s=30)
    turn_until(supervision, lambda: "ready" in stream.getvalue())
    supervision.asked.append(signal.SIGINT)
    threading.Timer(0.5, lambda: supervision.asked.append(signal.SIGINT)).start()
    began = time.monotonic()
    assert supervision.stop() == ["clips"]
    assert time.monotonic() - began < 10


def test_a_program_run_once_gives_its_status_and_its_lines_as_they_are():
    supervision, stream = supervise()
    assert supervision.run_once(python("sample", "print('| a table |'); raise SystemExit(7)")) == 7
    assert stream.getvalue() == "| a table |\n"


def test_a_reader_that_went_away_stops_everything():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        output = Output(stream)
        supervision = Supervision([], output)
        assert not supervision.stopping
        output.plain("is anyone there")
        assert supervision.stopping


SUPERVISOR = """
import sys
from console.supervisor.output import Output
from console.supervisor.programs import Program
from console.supervisor.supervision import Supervision
command = (sys.executable, "-u", "-c", "import os, time; print(os.getpid()); time.sleep(60)")
supervision = Supervision([Program("web", command), Program("clips", command)], Output())
while True:
    supervision.turn()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS can't tie a child's life to its parent's")
def test_kill_9_of_the_supervisor_leaves_no_child():
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    children = {}
    while len(children) < 2:
        line = supervisor.stdout.readline().split("|")[-1].strip()
        if line.isdigit():
            children[f"child {len(children)}"] = int(line)
    supervisor.kill()
    seconds_until_gone(children, 2)
    supervisor.wait()
    supervisor.stdout.close()


def test_the_six_processes_and_what_each_may_do():
    made = all_programs(8123, Path("/a home"), ["unix:/a home/s", "10.0.0.7:9000"])
    programs = {program.name: " ".join(program.command) for program in made}
    assert list(programs) == ["web", "scorer", "clips", "code", "upkeep", "beat"]
    assert programs["scorer"].endswith("manage.py scorer unix:/a home/s")
    assert "--port 8123" in programs["web"]
    assert "--timeout-graceful-shutdown 5" in programs["web"]
    assert "-Q clips" in programs["clips"]
    assert "--pool=threads -c 1" in programs["clips"]
    assert "-Q code" in programs["code"]
    assert "-Q upkeep" in programs["upkeep"]
    assert "beat -s /a home/run/beat-schedule" in programs["beat"]


CLAIM = """
import sys
from pathlib import Path
from console.supervisor import presence
print(presence.claim(Path(sys.argv[1]), presence.Presence(2, 8001, "another")))
"""


def test_one_supervisor_a_home(tmp_path):
    held = presence.claim(tmp_path, presence.Presence(1, 8000, "http://127.0.0.1:8000"))
    assert isinstance(held, FileLock)
    other = subprocess.run(
        [sys.executable, "-c", CLAIM, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == "None"
    assert presence.read(tmp_path) == presence.Presence(1, 8000, "http://127.0.0.1:8000")
    held.drop()


class _Answering(BaseHTTPRequestHandler):
    name = "backlot"
    status = 200
    body = b"{}"

    def do_GET(self) -> None:
        self.send_response_only(self.status)
        self.send_header("Server", self.name)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


NOT_READY = b'{"status": "not ready", "missing": ["database", "workers:clips"]}'


@pytest.fixture
def answering():
    """A server on a free port, as `answering(name, status, body) -> port`."""
    servers = []

    def start(name: str, status: int = 200, body: bytes = NOT_READY) -> int:
        handler = type("Handler", (_Answering,), {"name": name, "status": status, "body": body})
        servers.append(HTTPServer((address.HOST, 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1].server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((address.HOST, 0))
        return probe.getsockname()[1]


def test_a_port_is_free_or_someone_has_it(answering):
    taken = answering("nginx")
    assert address.is_free(free_port())
    assert not address.is_free(taken)
    assert not address.is_backlot(taken)
    assert address.is_backlot(answering("backlot"))
    assert not address.is_backlot(free_port())


def test_what_is_missing_for_readiness_is_said(answering):
    assert address.missing_for_readiness(answering("backlot")) == ""
    assert address.missing_for_readiness(answering("backlot", 503)) == "database, workers:clips"
    assert (
        address.missing_for_readiness(answering("backlot", 503, b"<h1>away</h1>"))
        == "readyz says 503: <h1>away</h1>"
    )
    assert address.missing_for_readiness(free_port()) == "web does not answer yet"


def serve(port: int, home: Path, *flags: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PORT": str(port), "BACKLOT_HOME": str(home)}
    command = [sys.executable, str(PROJECT / "manage.py"), "serve", *flags]
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_port_in_use_gives_a_clear_message(answering, tmp_path):
    port = answering("nginx")
    ended = serve(port, tmp_path)
    assert ended.returncode == 1
    assert (
        f"port {port} is taken by another program: stop it, or choose one, as in PORT=8001 make run"
        in ended.stderr
    )


def test_another_backlot_at_the_port_is_named(answering, tmp_path):
    port = answering("backlot")
    ended = serve(port, tmp_path)
    assert ended.returncode == 0
    assert f"Another Backlot already runs at http://127.0.0.1:{port}" in ended.stdout
    assert serve(port, tmp_path, "--once").returncode == 1, "no sample was made"


def test_a_home_that_is_served_already_says_where(tmp_path):
    held = presence.claim(tmp_path, presence.Presence(4321, 8765, "http://127.0.0.1:8765"))
    ended = serve(free_port(), tmp_path)
    assert ended.returncode == 0
    assert "Backlot already runs at http://127.0.0.1:8765 (pid 4321)" in ended.stdout
    held.drop()
