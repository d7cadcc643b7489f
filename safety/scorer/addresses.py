"""Where scorers listen: `unix:/path/to/socket` or `host:port`. Standard library only."""

import hashlib
import os
import socket
import tempfile
from pathlib import Path

LONGEST_PATH = 100  # of a unix socket; the kernel takes 104 to 108 bytes


class BadAddress(ValueError):
    """No address that a scorer can have."""


def default(home: Path) -> str:
    """The scorer of this installation, in a folder that its owner alone can enter."""
    path = home / "run" / "scorer.sock"
    if len(os.fsencode(path)) > LONGEST_PATH:
        name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"backlot-{os.getuid()}-{name}" / "scorer.sock"
    return f"unix:{path}"


def path_of(address: str) -> Path | None:
    """The socket's path; None for an address of a network."""
    return Path(address.removeprefix("unix:")) if address.startswith("unix:") else None


def host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise BadAddress(f"{address!r}: write unix:/path/to/socket or host:port")
    return host.strip("[]"), int(port)


def connected(address: str, timeout_s: float) -> socket.socket:
    """A connection; raises OSError."""
    path = path_of(address)
    if path is None:
        made = socket.create_connection(host_port(address), timeout=timeout_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout_s)
        made.connect(str(path))
    except OSError:
        made.close()
        raise
    return made
