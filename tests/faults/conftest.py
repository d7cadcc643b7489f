"""A running Backlot to break, spoken to as its clients do, and looked into by SQL."""

import json
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.live import PROJECT, Live

PATIENCE_S = 240


class Service:
    """A `Live` Backlot with a key of a demo organization, its database and its Redis."""

    def __init__(self, live: Live, organization: str = "plus-demo") -> None:
        self.live = live
        self.redis_url = live.redis_url()
        self._database = psycopg.connect(live.database_url(), autocommit=True)
        self._key = live.api_key(organization)

    def close(self) -> None:
        self._database.close()

    def sql(self, statement: str, *values: Any) -> None:
        self._database.execute(statement, values)

    def rows(self, query: str, *values: Any) -> list[tuple]:
        return self._database.execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> tuple | None:
        return self._database.execute(query, values).fetchone()

    def until(self, query: str, *values: Any) -> tuple:
        """The first row of a query, as soon as there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while not (row := self.row(query, *values)):
            assert time.monotonic() < deadline, f"never true: {query}"
            time.sleep(0.02)
        return row

    @staticmethod
    def job_id(public_id: str) -> str:
        return str(uuid.UUID(public_id[-32:]))

    def open(self, method: str, path: str, body: dict | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.live.url + path, data, headers, method=method)
        return urllib.request.urlopen(request, timeout=PATIENCE_S)

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        with self.open(method, path, body) as response:
            return json.load(response)

    def submit(self, **fields: Any) -> dict:
        return self.call("POST", "/v1/videos", {"model": "pocket-video"} | fields)

    def finished(self, clip: dict) -> dict:
        """The clip once it has ended, however it did."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            clip = self.call("GET", f"/v1/videos/{clip['id']}")
            if clip["status"] in ("completed", "failed"):
                return clip
            assert time.monotonic() < deadline, f"not done in time: {clip}"
            time.sleep(0.2)

    def unsigned_digest(self, clip: dict) -> str:
        """sha256 of the delivered clip as it was encoded and scanned, before it was signed."""
        query = """SELECT c.unsigned_digest FROM safety_credential c JOIN generation_job j
                       ON j.id::text = c.subject AND j.fence = c.fence WHERE j.id = %s AND c.state = 'Trusted'"""
        return self.row(query, self.job_id(clip["id"]))[0]

    def charges(self, clip: dict) -> list[int]:
        """The amounts that were asked for a clip."""
        query = """SELECT c.amount FROM billing_charge c JOIN billing_usageevent u ON u.id = c.usage_event_id
                    WHERE u.subject = %s"""
        return [row[0] for row in self.rows(query, self.job_id(clip["id"]))]

    def attempts(self, clip: dict) -> list[tuple]:
        """(outcome, step, resumed_from_step, worker's pid) of each attempt at a job, in order."""
        query = """SELECT a.outcome, a.step, a.resumed_from_step, w.pid FROM generation_attempt a
                     JOIN generation_worker w ON w.id = a.worker_id WHERE a.job_id = %s ORDER BY a.fence"""
        return self.rows(query, self.job_id(clip["id"]))

    def download(self, clip: dict, path: Path) -> Path:
        with self.open("GET", f"/v1/videos/{clip['id']}/content") as response:
            path.write_bytes(response.read())
        return path

    def stream(self, **fields: Any) -> Iterator[str]:
        """The pieces of a streamed completion, as they come."""
        body = {"model": "pocket-code", "stream": True} | fields
        with self.open("POST", "/v1/completions", body) as response:
            for line in response:
                data = line.decode().removeprefix("data:").strip()
                if line.startswith(b"data:") and data != "[DONE]":
                    event = json.loads(data)
                    assert "error" not in event, event
                    yield from (choice["text"] for choice in event["choices"])

    def reconciles(self) -> bool:
        """Whether `manage.py reconcile`, as an operator runs it, finds no drift."""
        command = [sys.executable, str(PROJECT / "manage.py"), "reconcile"]
        return subprocess.run(command, env=self.live.environment, check=False).returncode == 0


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Live() as live:
        service = Service(live)
        yield service
        service.close()
