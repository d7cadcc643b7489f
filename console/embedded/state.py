"""`run/services.json`: where the embedded servers of a home are, and who they are."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerState:
    """One server: its URL with the password, its port, its process and its data folder."""

    url: str
    port: int
    pid: int
    data: str
    version: str


@dataclass(frozen=True)
class State:
    """What the keeper wrote when its servers answered."""

    keeper: int
    started_by: str
    servers: dict[str, ServerState]


def path_of(home: Path) -> Path:
    return home / "run" / "services.json"


def write(home: Path, state: State) -> None:
    """Replace the file in one step; it holds passwords, so only its owner may read it."""
    path = path_of(home)
    draft = path.with_name(f"services.{os.getpid()}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(state), file, indent=2)
        file.write("\n")
    draft.replace(path)


def read(home: Path) -> State | None:
    """The last written state, living or stale; None where there is none that can be read as one."""
    try:
        fields = json.loads(path_of(home).read_text())
        servers = {name: ServerState(**server) for name, server in fields["servers"].items()}
        return State(keeper=int(fields["keeper"]), started_by=fields["started_by"], servers=servers)
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None  # missing, cut short by a full disk, or of another version: the keeper writes it anew


def remove(home: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path_of(home).unlink()


def command_line(pid: int) -> str:
    """The command line of a living process, "" where there is no such process."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return ""
    listed = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()
