"""`run/serve.json`: which supervisor serves a home. The lock beside it says whether it still does."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from console.embedded.locks import FileLock


@dataclass(frozen=True)
class Presence:
    """A supervisor: its process, its port and the address of its pages."""

    pid: int
    port: int
    url: str


def claim(home: Path, presence: Presence) -> FileLock | None:
    """Become the one supervisor of a home; None where another is. Keep the lock as long as you serve."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "run" / "serve")
    if not lock.alone():
        lock.drop()
        return None
    path = home / "run" / "serve.json"
    draft = path.with_name(f"serve.{os.getpid()}.draft")
    draft.write_text(json.dumps(asdict(presence)) + "\n")
    draft.replace(path)
    return lock


def read(home: Path) -> Presence | None:
    """What the last supervisor wrote."""
    try:
        return Presence(**json.loads((home / "run" / "serve.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
