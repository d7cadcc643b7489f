"""uvicorn's protocol with patience that ends: for a request's head to arrive, and for its size.

uvicorn waits for ever for a client that opens a connection and says nothing, or one header a minute: a few thousand of
them, which cost their sender nothing, would take every file handle there is. What comes after the head is bounded in
`console.edge.Edge`, where the path and its limit are known. Chosen with `--http console.slow_clients:Patient`.
"""

import asyncio
import json
import uuid

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from accounts.errors import ApiError

HEAD_S = 10.0  # from the first byte that is due to the end of the head
HEAD_BYTES = 64_000


class Patient(HttpToolsProtocol):
    """Closes a connection whose head doesn't arrive in time (408), or is larger than any honest one (431)."""

    def __init__(self, *arguments, **named) -> None:
        super().__init__(*arguments, **named)
        self._awaited: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._awaited is None and not self._in_body and self.cycle.response_complete:
            self._await_head()  # the next request of a connection that was kept
        if self._awaited is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._awaited is not None and self._head_bytes > HEAD_BYTES:
            self._refuse("request_head_too_large", f"The request's head is over {HEAD_BYTES:,} bytes.")

    def on_headers_complete(self) -> None:
        self._head_is_there()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse("malformed_body", "This is no HTTP request that could be read.")

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._awaited = self.loop.call_later(HEAD_S, self._too_late)

    def _head_is_there(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None

    def _too_late(self) -> None:
        self._awaited = None
        if self._head_bytes:
            self._refuse("request_timeout", f"The request's head did not arrive within {HEAD_S:.0f} seconds.")
        elif not self.transport.is_closing():
            self.transport.close()  # browsers open connections that they then don't need

    def _refuse(self, code: str, message: str) -> None:
        """Answer as the table has it and close; nothing was begun."""
        self._head_is_there()
        if self.transport.is_closing():
            return
        error, request_id = ApiError(code, message), f"req_{uuid.uuid4().hex}"
        content = json.dumps(error.body(request_id)).encode()
        head = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % line for line in head]
        self.transport.write(STATUS_LINE[error.status] + b"".join(lines) + b"\r\n" + content)
        self.transport.close()
