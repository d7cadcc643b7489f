"""A whole Backlot in a home of its own, as `make up` starts it, for tests in a browser and tests that break things."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from accounts import demo

PROJECT = Path(__file__).resolve().parents[1]
START_S = 300
# What would tie it to the servers or the home of the test run itself.
NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "BACKLOT_HOME", "BACKLOT_PROCESS")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Live:
    """`manage.py serve --no-sample` with embedded servers, on a free port. Its lines are kept in `lines`."""

    def __init__(self, home: Path | None = None, **environment: str) -> None:
        self._made = home is None
        # Open to all, so that as root PostgreSQL's own user can reach its data there.
        self.home = home or Path(tempfile.mkdtemp(prefix="backlot-live-"))
        self.home.chmod(0o755)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
        self.environment = {
            **kept,
            "BACKLOT_HOME": str(self.home),
            "PORT": str(self.port),
            "SYNTHETIC_JOBS": "off",
            **environment,
        }
        self.lines: list[str] = []
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Live":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._made:
            shutil.rmtree(self.home, ignore_errors=True)

    def start(self) -> None:
        """Start, and wait until it says that it is up. `lines` begin anew."""
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), "serve", "--no-sample"],
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._collect, args=(self.process, self.lines), daemon=True).start()
        end = time.monotonic() + START_S
        while not self.said(f"Backlot is up at {self.url}"):
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError("Backlot did not come up:\n" + "\n".join(self.lines[-60:]))
            time.sleep(0.1)

    def stop(self) -> int:
        """Ctrl-C, and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def manage(self, *arguments: str) -> str:
        """A command in the same home, on the running servers; what it printed."""
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        done = subprocess.run(
            command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def api_key(self, organization: str) -> str:
        """A new key of an organization, as an operator would make it."""
        return self.manage("create_api_key", "--organization", organization, "--name", "test").strip()

    @property
    def sign_ins(self) -> dict[str, demo.SignIn]:
        """The demo sign-ins by e-mail address."""
        return {row.email: row for row in demo.sign_ins(self.home)}

    def readiness(self) -> tuple[int, dict]:
        """Status and body of /readyz."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                return error.code, json.load(error)

    def database_url(self) -> str:
        state = json.loads((self.home / "run" / "services.json").read_text())
        return state["servers"]["postgres"]["url"]

    def redis_url(self) -> str:
        state = json.loads((self.home / "run" / "services.json").read_text())
        return state["servers"]["valkey"]["url"]

    @staticmethod
    def _collect(process: subprocess.Popen, lines: list[str]) -> None:
        with process.stdout as pipe:
            for line in pipe:
                lines.append(line.rstrip("\n"))
