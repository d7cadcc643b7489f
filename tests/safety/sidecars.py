"""A sidecar in a process of its own, for tests: `python -m tests.safety.sidecars MODE` prints its port and serves."""

import json
import subprocess
import sys
import time
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
    mode = "good"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.mode == "hangs":
            time.sleep(60)
        if self.mode == "drops":
            self.connection.close()
            return
        if self.mode == "redirects":
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()
            return
        content = answer(self.mode, body.count(b'name="frame"'))
        self.send_response(500 if self.mode == "fails" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Its standard output is for the port alone."""


@contextmanager
def sidecar(mode: str = "good"):
    """(address, process) of a sidecar in this mode; killed at the end."""
    command = [sys.executable, "-m", "tests.safety.sidecars", mode]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/judge", process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main(mode: str) -> None:
    Handler.mode = mode
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
