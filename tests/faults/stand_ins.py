"""Programs of a running Backlot that a test runs in an environment of its own, while the real ones stand still."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from console.supervisor.programs import Program
from tests.live import PROJECT, Live

FAKETIME = "*/faketime/libfaketimeMT.so.1"
SLEEP = Path(__file__).parent / "moved_clock"


@contextmanager
def standing_in(
    live: Live, environments: Mapping[str, Mapping[str, str]], programs: list[Program]
) -> Iterator[None]:
    """The house's programs of these names are stopped (SIGSTOP), ours run; afterwards the other way round."""
    theirs = [pid for program in programs for pid in pids_of(live, program.name)]
    servers = {"DATABASE_URL": live.database_url(), "REDIS_URL": live.redis_url()}
    for pid in theirs:
        os.kill(pid, signal.SIGSTOP)
    ours = [
        subprocess.Popen(
            program.command,
            cwd=PROJECT,
            env={**live.environment, **servers, "BACKLOT_PROCESS": "stand-in", **environments[program.name]},
            start_new_session=True,
        )
        for program in programs
    ]
    try:
        yield
    finally:
        for process in ours:
            process.terminate()
        for process in ours:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        for pid in theirs:
            os.kill(pid, signal.SIGCONT)


def pids_of(live: Live, name: str) -> list[int]:
    """The processes that the supervisor of this home runs under a name."""
    wanted = {f"BACKLOT_PROCESS={name}".encode(), f"BACKLOT_HOME={live.home}".encode()}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
    assert found, f"{name} does not run"
    return found


def moved(by: str | Path) -> dict[str, str]:
    """An environment whose clock is moved by "+3h", or by what stands in a file, which may change.

    Only the wall clock: what a process measures by the monotonic one is as it is on a machine whose clock is set.
    """
    libraries = sorted(Path("/usr/lib").glob(FAKETIME))
    assert libraries, "libfaketime is not there: install the package libfaketime, as .ci/run does"
    amount = (
        {"FAKETIME_TIMESTAMP_FILE": str(by), "FAKETIME_CACHE_DURATION": "1"} if isinstance(by, Path) else {}
    )
    return {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(SLEEP),
        **(amount or {"FAKETIME": str(by)}),
    }
