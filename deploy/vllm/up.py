"""Start vLLM's CPU build with the code model that ships, say when it is ready, and stop it with Ctrl-C.

    python deploy/vllm/up.py        (make vllm-up)

In the environment: VLLM_PORT (8100), VLLM_MODEL (a folder; pocket-code), VLLM_NAME (the name it is served under),
VLLM_CPUS (cores for its arithmetic as vLLM writes them, "0" or "0-3"; all), VLLM_ARGS (more options of its server).
Standard library only: it runs in vLLM's environment, where Backlot is not installed.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 300
STOPS_WITHIN_S = 20


def command(model: Path, name: str, port: int) -> list[str]:
    """The server, with what Backlot counts on: priorities, the prefix cache, Lark grammars, and no defaults of the
    model's folder for what a request leaves out. It listens on this machine alone."""
    flags = "--dtype bfloat16 --enforce-eager --enable-prefix-caching --scheduling-policy priority"
    flags += " --generation-config vllm --disable-uvicorn-access-log"
    place = ["--model", str(model), "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    structured = ["--structured-outputs-config", '{"backend": "guidance", "disable_any_whitespace": true}']
    return [
        sys.executable,
        *("-m", "vllm.entrypoints.openai.api_server"),
        *place,
        *flags.split(),
        *structured,
        *shlex.split(os.environ.get("VLLM_ARGS", "")),
    ]


def environment() -> dict[str, str]:
    """Offline, quiet, 1 GiB of cache."""
    own = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    own["VLLM_LOGGING_LEVEL"] = "WARNING"
    if cores := os.environ.get("VLLM_CPUS"):
        own["VLLM_CPU_OMP_THREADS_BIND"] = cores
    return own | {"DO_NOT_TRACK": "1"} | os.environ


def ready(server: subprocess.Popen, port: int) -> bool:
    """Wait until it answers; False where it ended or took too long."""
    began = time.monotonic()
    while server.poll() is None and time.monotonic() - began < READY_WITHIN_S:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                print(
                    f"vLLM is ready at http://127.0.0.1:{port} ({time.monotonic() - began:.0f} s)", flush=True
                )
                return True
        except OSError:
            time.sleep(0.5)
    print("vLLM did not get ready", file=sys.stderr)
    return False


def stop(server: subprocess.Popen) -> int:
    """The server and what it started."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
    try:
        return server.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        return server.wait()


def leave(*_) -> None:
    raise KeyboardInterrupt


def main() -> int:
    model = Path(os.environ.get("VLLM_MODEL", ROOT / "generation/weights/pocket-code"))
    port = int(os.environ.get("VLLM_PORT", "8100"))
    name = os.environ.get("VLLM_NAME", model.name)
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, leave)
    server = subprocess.Popen(command(model, name, port), env=environment(), start_new_session=True)
    try:
        return server.wait() if ready(server, port) else stop(server) or 1
    except KeyboardInterrupt:
        stop(server)
        return 0


if __name__ == "__main__":
    sys.exit(main())
