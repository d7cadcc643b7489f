"""One request to a vLLM server over a socket of its own: closing it is what aborts the work there.

Reading never blocks longer than a beat: whoever reads gets None then, and can look at what else is wanted. The
standard library sends the request; the parser of the answer is C (httptools), because it comes in as many parts as
tokens.
"""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httptools

from generation.engines.asked import WAITS_AT_MOST_S as BEAT_S
from generation.engines.errors import EngineError
from generation.engines.vllm.options import VllmOptions

READ_BYTES = 65_536
# Of an answer that is no stream (an error, a list of models): beyond this it is none of vLLM's.
MOST_BYTES = 1_000_000
END = "[DONE]"


class ConnectionGone(EngineError):
    """The server could not be reached, or left before its answer ended."""


class Answer:
    """What comes back. `status` and `headers` (lower-case names) are set by the first `poll` after they have come."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.settimeout(BEAT_S)
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.complete = False

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        self.complete = True

    def poll(self) -> bool:
        """Wait a beat for more; whether some came. Raises ConnectionGone."""
        try:
            part = self._socket.recv(READ_BYTES)
            if part:
                self._parser.feed_data(part)
        except TimeoutError:
            return False
        except (OSError, httptools.HttpParserError) as error:
            raise ConnectionGone(f"the connection broke: {error}") from error
        if not part and not self.complete:
            raise ConnectionGone("the server left before the end of its answer")
        return True

    def events(self) -> Iterator[dict[str, Any] | None]:
        """The data of each server-sent event as it comes, up to the end; None after a beat of silence."""
        while True:
            while (cut := self._body.find(b"\n\n")) >= 0:
                event = bytes(self._body[:cut])
                del self._body[: cut + 2]
                data = b"".join(
                    line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")
                ).decode()
                if data == END:
                    return
                if data:
                    yield _object(data)
            if self.complete:
                return
            if len(self._body) > MOST_BYTES:
                raise ConnectionGone("the server's events don't end")
            if not self.poll():
                yield None

    def whole(self) -> bytes:
        """The whole body of an answer that is no stream, as far as it has come; poll until `complete` first."""
        return bytes(self._body[:MOST_BYTES])

    def close(self) -> None:
        """Let go; a server that was still writing aborts the request."""
        self._socket.close()


def post(options: VllmOptions, path: str, body: dict[str, Any]) -> Answer:
    """Send a request. Raises ConnectionGone where the server can't be reached."""
    return _sent(options, "POST", path, json.dumps(body).encode())


def fetch(options: VllmOptions, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON of a short answer, within `silence_s`. Raises ConnectionGone."""
    answer = post(options, path, body) if body is not None else _sent(options, "GET", path, None)
    try:
        beats = 0
        while not answer.complete:
            beats = 0 if answer.poll() else beats + 1
            if beats * BEAT_S > options.silence_s or len(answer.whole()) >= MOST_BYTES:
                raise ConnectionGone(f"{path} was not answered")
        return answer.status, _object(answer.whole().decode("utf-8", "replace"))
    finally:
        answer.close()


def _sent(options: VllmOptions, method: str, path: str, body: bytes | None) -> Answer:
    parts = urlsplit(options.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=options.connect_s)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if options.key:
        headers["Authorization"] = f"Bearer {options.key}"
    try:
        connection.request(method, path, body, headers)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise ConnectionGone(f"{options.url} can't be reached: {error}") from error
    return Answer(connection.sock)


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConnectionGone(f"the server said something that is no JSON: {text[:120]!r}") from error
