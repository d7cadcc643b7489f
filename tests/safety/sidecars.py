"""A sidecar in a process of its own, for tests: `python -m tests.safety.sidecars` prints its port and serves.

How it behaves says the address: `/judge` answers well, `/judge?half` half.
"""

import json
import subprocess
import sys
import time
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RESULT = {"score": 0.01, "usable": True, "available": True, "evidence": {"seen": "nothing"}}


def answer(mode: str, frames: int) -> bytes:
    results = [RESULT] * frames
    good = {"protocol": 1, "version": "1", "results": results}
    return {
        "good": json.dumps(good),
        "sure": json.dumps(good | {"results": [{"score": 0.99}] * frames}),
        "short": json.dumps(good | {"results": results[1:]}),
        "another version": json.dumps(good | {"version": "2"}),
        "out of range": json.dumps(good | {"results": [{"score": 1.5}] * frames}),
        "not a number": json.dumps(good | {"results": results})[:-2].replace("0.01", "NaN") + "]}",
        "text score": json.dumps(good | {"results": [{"score": "0.1"}] * frames}),
        "one field more": json.dumps(good | {"results": [{"score": 0.1, "safe": True}] * frames}),
        "no json": "<html>all clean</html>",
        "half": json.dumps(good)[: len(json.dumps(good)) // 2],
        "nested": "[" * 100_000,
        "long": json.dumps(good | {"note": "x" * 2_000_000}),
    }.get(mode, json.dumps(good)).encode()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        mode = urllib.parse.unquote(urllib.parse.urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if mode == "hangs":
            time.sleep(60)
        if mode == "drops":
            self.connection.close()
            return
        if mode == "redirects":
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()
            return
        content = answer(mode, body.count(b'name="frame"'))
        self.send_response(500 if mode == "fails" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Its standard output is for the port alone."""


@contextmanager
def sidecar():
    """(address, process) of a sidecar; killed at the end."""
    command = [sys.executable, "-m", "tests.safety.sidecars"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/judge", process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def behaving(url: str, mode: str) -> str:
    """The address at which the sidecar behaves so."""
    return f"{url}?{urllib.parse.quote(mode)}"


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
