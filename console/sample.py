"""What `make run` does first: one clip and one completion through the public API, with a key of their own.

It asks like any client, over HTTP, and then shows what a client can't: the ledger recomputed and the credentials
verified by the installation's own anchor.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from accounts import keys
from accounts.models import Organization
from billing.reconciliation import reconcile
from billing.statement import balances
from generation.stage_times import stage_times
from safety.credentials import provenance

ORGANIZATION = "plus-demo"
PROMPT = "a red ball rolling left over grass"
CODE_PROMPT = 'def read_lines(path):\n    """Return the lines of a text file."""\n'
MAX_TOKENS = 64
PATIENCE_S = 300.0
POLL_S = 0.2
AUTHOR = "the sample of make run"
MICRO = 1_000_000

Say = Callable[[str], None]


class SampleFailed(Exception):
    """The sample did not come to its end; the message says what was wrong."""


@dataclass(frozen=True)
class Client:
    """A plain HTTP client of one Backlot."""

    url: str
    key: str

    def open(self, method: str, path: str, body: dict | None = None) -> Any:
        """The open response; raises SampleFailed with the server's own error."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            return urllib.request.urlopen(request, timeout=PATIENCE_S)
        except urllib.error.HTTPError as refused:
            raise SampleFailed(
                f"{method} {path}: {refused.code} {refused.read().decode()[:500]}"
            ) from refused
        except urllib.error.URLError as problem:
            raise SampleFailed(f"{method} {path}: {problem.reason}") from problem

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        with self.open(method, path, body) as response:
            return json.load(response)


def run(url: str, folder: Path, say: Say) -> dict:
    """Make the clip and the completion, write `summary.json` and the clip into `folder`; the summary.

    The key is made for this run and revoked at its end.
    """
    organization = Organization.objects.get(slug=ORGANIZATION)
    key, raw = keys.create(organization, "sample", ("read", "generate", "billing"), AUTHOR)
    try:
        client = Client(url, raw)
        summary = {
            "clip": _clip(client, folder, say),
            "completion": _completion(client, say),
        }
        report = reconcile()
        summary["ledger"] = {
            "drift": len(report.drift),
            "transactions": report.transactions,
            "charges": report.charges,
            "balance": balances(organization.pk).available_micro / MICRO,
        }
    finally:
        keys.revoke(key, AUTHOR, "the sample has ended")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def problems(summary: dict) -> list[str]:
    """Why this run may not pass: undelivered, untrusted, inexact or drifting; empty where all is well."""
    clip, found = summary["clip"], []
    if clip["status"] != "completed":
        found.append(f"the clip ended {clip['status']}: {clip['error']}")
    if clip["credentials"] != "Trusted":
        found.append(f"its credentials read {clip['credentials']}, not Trusted")
    if clip["steps"] != clip["steps_asked"]:
        found.append(f"{clip['steps']} steps ran, {clip['steps_asked']} were quoted")
    if not summary["completion"]["tokens"]:
        found.append("the completion has no tokens")
    if summary["ledger"]["drift"]:
        found.append(f"reconciliation shows {summary['ledger']['drift']} differences")
    return found


def _clip(client: Client, folder: Path, say: Say) -> dict:
    video = client.call("POST", "/v1/videos", {"model": "pocket-video", "prompt": PROMPT})
    say(f"clip {video['id']}: “{PROMPT}”")
    for video in _until_it_ends(client, video["id"]):  # noqa: B020  the last one is the end
        backlot = video["backlot"]
        say(f"  {backlot['stage']:<12} {backlot['steps_run']:>2}/{backlot['steps']} steps")
    job = client.call("GET", f"/api/jobs/{video['id']}")
    path, credentials = None, None
    if video["status"] == "completed":
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "clip.mp4"
        with client.open("GET", f"/v1/videos/{video['id']}/content") as response:
            path.write_bytes(response.read())
        credentials = provenance.verify(path).state
    backlot = video["backlot"]
    return {
        "id": video["id"],
        "status": video["status"],
        "error": video["error"],
        "prompt": PROMPT,
        "size": video["size"],
        "seconds": video["seconds"],
        "steps": backlot["steps_run"],
        "steps_asked": backlot["steps"],
        "checkpoints": backlot["checkpoints"],
        "queue_wait_s": _seconds(job["created_at"], job["started_at"]),
        "time_in_system_s": _seconds(job["created_at"], job["finished_at"]),
        "stages": backlot["stages"],
        "device": job["device"],
        "credentials": credentials,
        "charge": backlot["charge"],
        "quote": backlot["quote"],
        "decision": backlot["decision"],
        "path": str(path) if path else None,
    }


def _seconds(since: str, until: str | None) -> float | None:
    """Between two times of the API, in seconds; None where the second never came."""
    if until is None:
        return None
    return round((datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds(), 3)


def _until_it_ends(client: Client, video_id: str) -> Iterator[dict]:
    """The clip whenever it has got further, and at its end."""
    deadline, last = time.monotonic() + PATIENCE_S, None
    while True:
        video = client.call("GET", f"/v1/videos/{video_id}")
        mark = (video["backlot"]["stage"], video["backlot"]["steps_run"] // 10)
        if mark != last:
            yield video
        if video["status"] in ("completed", "failed"):
            return
        if time.monotonic() > deadline:
            raise SampleFailed(f"{video_id} was not done within {PATIENCE_S:g} s: {video['backlot']}")
        last = mark
        time.sleep(POLL_S)


def _completion(client: Client, say: Say) -> dict:
    body = {
        "model": "pocket-code",
        "prompt": CODE_PROMPT,
        "max_tokens": MAX_TOKENS,
        "temperature": 0.2,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first, text, usage, identity = time.perf_counter(), None, "", {}, None
    with client.open("POST", "/v1/completions", body) as response:
        for event in _events(response):
            identity = event.get("id", identity)
            usage = event.get("usage") or usage
            for choice in event.get("choices", []):
                if choice["text"] and first is None:
                    first = time.perf_counter()
                text += choice["text"]
    say(f"completion {identity}:")
    for line in (CODE_PROMPT + text).splitlines():
        say(f"  | {line}")
    job = client.call("GET", f"/api/jobs/{identity}")
    return {
        "id": identity,
        "tokens": usage.get("completion_tokens", 0),
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "ttft_ms": None if first is None else round((first - began) * 1000, 1),
        "charge": job["charge"],
        "text": text,
    }


def _events(response: Any) -> Iterator[dict]:
    for line in response:
        data = line.decode().removeprefix("data:").strip()
        if not line.startswith(b"data:") or data == "[DONE]":
            continue
        event = json.loads(data)
        if "error" in event:
            raise SampleFailed(f"the completion failed: {event['error']}")
        yield event


def table(summary: dict) -> str:
    """The summary as a table for people."""
    clip, completion, ledger = summary["clip"], summary["completion"], summary["ledger"]
    stages = " · ".join(f"{stage.name} {stage.seconds:.2f} s" for stage in stage_times(clip["stages"]))
    rows = [
        ("Clip", f"{clip['status']}, {clip['size']}, {clip['seconds']} s, on {clip['device']}"),
        ("Steps", f"{clip['steps']} of {clip['steps_asked']}, {clip['checkpoints']} checkpoints"),
        ("Time", f"{clip['time_in_system_s']} s in the system, {clip['queue_wait_s']} s waiting"),
        ("Stages", stages),
        ("Credentials", str(clip["credentials"])),
        ("Charge", f"{clip['charge']} credits, quoted {clip['quote']} (decision {clip['decision']})"),
        ("File", str(clip["path"])),
        (
            "Completion",
            f"{completion['tokens']} tokens, first after {completion['ttft_ms']} ms, {completion['charge']} credits",
        ),
        ("Balance", f"{ledger['balance']} credits of {ORGANIZATION}"),
        ("Ledger", f"{ledger['transactions']} transactions recomputed, {ledger['drift']} differences"),
    ]
    return "\n".join(f"  {name:<12} {value}" for name, value in rows)
