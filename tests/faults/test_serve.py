"""The whole house under kill -9 and Ctrl-C: nothing stays behind, and nothing takes longer than promised."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from console.embedded import state
from tests.live import PROJECT, Live, free_port

pytestmark = pytest.mark.faults

_servers: set[int] = set()  # Valkey's process shows neither the home nor its environment


@pytest.fixture(scope="module")
def home_of_live(tmp_path_factory) -> Iterator[Live]:
    with Live() as live:
        yield live


@pytest.fixture
def live(home_of_live: Live) -> Live:
    """Running, whatever the test before did to it."""
    if home_of_live.process.poll() is not None:
        home_of_live.start()
    return home_of_live


def processes_of(live: Live) -> dict[int, str]:
    """Every living process with this home in its environment or command line, and the servers: the whole family."""
    for server in state.read(live.home).servers.values() if state.path_of(live.home).exists() else ():
        _servers.add(server.pid)
    found = {pid: line for pid in _servers if (line := state.command_line(pid))}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            line = state.command_line(int(name))
            if line and (str(live.home) in line or _has_home(int(name), live)):
                found[int(name)] = line
    return found


def _has_home(pid: int, live: Live) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"BACKLOT_HOME={live.home}".encode() in file.read().split(b"\0")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False


def wait_until_none(live: Live, limit_s: float) -> float:
    began = time.monotonic()
    while family := processes_of(live):
        assert time.monotonic() - began < limit_s, f"after {limit_s} s still there: {family}"
        time.sleep(0.05)
    return time.monotonic() - began


def test_all_is_there_and_ready(live):
    status, body = live.readiness()
    assert status == 200, body
    commands = " ".join(processes_of(live).values())
    for part in (
        "console.embedded.keeper",
        "uvicorn",
        "-Q clips",
        "-Q code",
        "-Q upkeep",
        "console.celery beat",
        "postgres",
        "valkey-server",
    ):
        assert part in commands


def test_a_second_serve_says_where_the_first_is(live):
    environment = {**live.environment, "PORT": str(free_port())}
    command = [sys.executable, str(PROJECT / "manage.py"), "serve"]
    second = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 0
    assert f"Backlot already runs at {live.url} (pid {live.process.pid})" in second.stdout
    assert "found running" in second.stderr


@pytest.mark.parametrize("part", ["-A console.celery worker -Q upkeep", "-A console.celery beat"])
def test_what_is_killed_comes_back(live, part):
    victim = next(pid for pid, line in processes_of(live).items() if part in line)
    name = part.split()[-1]
    os.kill(victim, signal.SIGKILL)
    end = time.monotonic() + 60
    while not live.said(f"ended by itself  process_name={name} status=-9"):
        assert time.monotonic() < end
        time.sleep(0.2)
    while not any(part in line and pid != victim for pid, line in processes_of(live).items()):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_servers_come_back_when_their_keeper_is_killed(live):
    before = live.database_url()
    keeper = next(pid for pid, line in processes_of(live).items() if "console.embedded.keeper" in line)
    os.kill(keeper, signal.SIGKILL)
    end = time.monotonic() + 60
    while not live.said("the embedded servers had gone and were started again") or live.readiness()[0] != 200:
        assert time.monotonic() < end, live.lines[-20:]
        time.sleep(0.5)
    assert live.database_url() == before


def test_ctrl_c_drains_and_stops_everything_within_15_s(live):
    began = time.monotonic()
    assert live.stop() == 0
    wait_until_none(live, 15 - (time.monotonic() - began))
    assert live.lines[-1].endswith("stopped")


def test_kill_9_leaves_nothing_behind_and_the_next_start_is_clean(live):
    live.kill()
    wait_until_none(live, 5)
    live.start()
    assert live.readiness()[0] == 200
