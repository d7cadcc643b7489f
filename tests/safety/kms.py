"""A key service in a process of its own: the key never leaves it. `python -m tests.safety.kms FOLDER` prints its port.

FOLDER holds a chain as safety/credentials/chain.py makes one. A file `hang` in it makes the service take its
time, `wrong` makes it answer nonsense, `gone` makes it answer 503.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from safety.credentials import chain
from safety.credentials.signers import PemSigner

TOKEN = "a token of the test"
HANGS_S = 20


def serve(folder: Path) -> None:
    read = chain.read(folder)
    key = PemSigner(read.certificates, read.anchors, read.private_key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(json.dumps({"certificates": key.certificates, "anchors": key.anchors}).encode())

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if (folder / "hang").exists():
                time.sleep(HANGS_S)
            self._answer(bytes(64) if (folder / "wrong").exists() else key.sign(data))

        def _answer(self, content: bytes) -> None:
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            self.send_response(503 if (folder / "gone").exists() else 200 if allowed else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: its output is its port."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)  # noqa: T201  its one word to whoever started it
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
