"""Whose time stamps are asked for: the installation's own authority, which answers in this very process, or another.

The setting TIMESTAMP_URL is `local`, `off`, or the address of an RFC 3161 service. The anchors that time stamps rest on
are kept like those of signers: every one that was ever in force.
"""

import logging
import os
import threading
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from safety.credentials import chain, timestamps

logger = logging.getLogger(__name__)

LOCAL, OFF = "local", "off"
HOST = "127.0.0.1"
FOLDER = "time-stamps"
KEPT = "time-stamp-anchors"
MOST_BYTES = 10_000  # a request is about 100


@dataclass(frozen=True)
class _Running:
    pid: int
    folder: Path
    url: str


_running: _Running | None = None
_starting = threading.Lock()


def url(now: datetime) -> str | None:
    """Where to ask for a time stamp; None where there are to be none. Raises ChainUnusable or OSError."""
    asked = settings.TIMESTAMP_URL
    if asked == OFF:
        return None
    if asked != LOCAL:
        _keep_foreign_anchors(Path(settings.SIGNING_ROOT))
        return asked
    return _local(Path(settings.SIGNING_ROOT), now)


def anchors(signing_root: Path) -> str:
    """The PEM of every root that time stamps of this installation rest on."""
    paths = [*signing_root.glob(f"{FOLDER}/root.pem"), *sorted(signing_root.glob(f"{KEPT}/*.pem"))]
    return "".join(path.read_text() for path in paths)


def authority(signing_root: Path, now: datetime) -> timestamps.Authority:
    """The installation's own, made at first use. Raises ChainUnusable."""
    folder = chain.made_once(signing_root / FOLDER, lambda draft: chain.stamping_chain(draft, now))
    try:
        key = folder / "stamp.key"
        if key.stat().st_mode & 0o077:
            raise chain.ChainUnusable(
                "The time-stamp key can be read by others: chmod 600 it, then renew it."
            )
        return timestamps.Authority((folder / "stamp.pem").read_text(), key.read_text())
    except OSError as error:
        raise chain.ChainUnusable(f"The time-stamp authority can't be read: {error}") from error


def _local(signing_root: Path, now: datetime) -> str:
    """One small server per process, on the loopback address alone and with a port of its own choice."""
    global _running
    with _starting:
        found = _running
        if found and (found.pid, found.folder) == (os.getpid(), signing_root):
            return found.url
        server = ThreadingHTTPServer((HOST, 0), _handler(authority(signing_root, now)))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="time-stamps", daemon=True).start()
        _past_proxies()
        _running = _Running(os.getpid(), signing_root, f"http://{HOST}:{server.server_port}/")
        return _running.url


def _past_proxies() -> None:
    """The C2PA library asks through the proxy that the environment names, which can't reach this process."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        if HOST not in hosts:
            os.environ[name] = ",".join([*hosts, HOST])


def _handler(stamping: timestamps.Authority) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), MOST_BYTES)
            try:
                answer = timestamps.reply(self.rfile.read(length), stamping, timezone.now())
            except timestamps.BadRequest as error:
                self.send_error(400, str(error)[:200].replace("\n", " "))
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            logger.debug(format, *arguments)

    return Handler


def _keep_foreign_anchors(signing_root: Path) -> None:
    """A copy of what TIMESTAMP_ANCHORS names, under the digest of its content, so that a later change loses nothing."""
    if not settings.TIMESTAMP_ANCHORS:
        return
    content = Path(settings.TIMESTAMP_ANCHORS).read_text()
    chain.kept(signing_root / KEPT / f"{timestamps.digest(content)}.pem", content)
