"""A running Backlot to break, spoken to as its clients do, and looked into by SQL."""

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.live import PROJECT, Live

PATIENCE_S = 240
# What a resumed clip must match to the bit: all workers of a run are on one machine and take its instruction set (below
# AVX-512, bf16 is emulated and a clip takes minutes), so that the count of threads is all there is to pin.
PINNED = {"OMP_NUM_THREADS": "1"}
# A clip of the same request that nothing happened to: its digest before it was signed, and what it cost.
Calm = tuple[str, list[int]]
UNANSWERED = (OSError, http.client.HTTPException)  # URLError is an OSError; HTTPError is told apart before


class Service:
    """A `Live` Backlot with a key of a demo organization, its database and its Redis."""

    def __init__(self, live: Live, organization: str = "plus-demo", url: str | None = None) -> None:
        self.live = live
        self.url = url or live.url
        self.redis_url = live.redis_url()
        self._database = psycopg.connect(live.database_url(), autocommit=True)
        self._key = live.api_key(organization)
        self._calm: dict[str, Calm] = {}
        self.insists_s = PATIENCE_S

    def close(self) -> None:
        self._database.close()

    def sql(self, statement: str, *values: Any) -> None:
        self._execute(statement, values)

    def rows(self, query: str, *values: Any) -> list[tuple]:
        return self._execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> tuple | None:
        return self._execute(query, values).fetchone()

    def _execute(self, query: str, values: tuple) -> psycopg.Cursor:
        """Over another connection where a fault took the last one; what is asked here may be asked twice."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if self._database.closed:
                    self._database = psycopg.connect(self.live.database_url(), autocommit=True)
                return self._database.execute(query, values)
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the database does not come back"
                self._database.close()
                time.sleep(0.2)

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

    def open(self, method: str, path: str, body: dict | None = None, **headers: str) -> Any:
        headers |= {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        return urllib.request.urlopen(request, timeout=PATIENCE_S)

    def call(self, method: str, path: str, body: dict | None = None, **headers: str) -> dict:
        with self.open(method, path, body, **headers) as response:
            return json.load(response)

    def insist(self, method: str, path: str, body: dict | None = None, **headers: str) -> dict:
        """As `call`, again and again until it is answered: what a client does whose server has a bad day."""
        deadline = time.monotonic() + self.insists_s
        while True:
            try:
                return self.call(method, path, body, **headers)
            except urllib.error.HTTPError as error:
                problem: object = f"{error.code}: {error.read().decode(errors='replace')}"
                if error.code != 429 and error.code < 500:
                    raise AssertionError(problem) from error
            except UNANSWERED as error:
                problem = error
            assert time.monotonic() < deadline, f"{method} {path} is never answered: {problem}"
            time.sleep(0.5)

    def submit(self, **fields: Any) -> dict:
        return self.call("POST", "/v1/videos", {"model": "pocket-video"} | fields)

    def submit_insisting(self, key: str, **fields: Any) -> dict:
        """Until it is acknowledged, under one Idempotency-Key."""
        body = {"model": "pocket-video"} | fields
        return self.insist("POST", "/v1/videos", body, **{"Idempotency-Key": key})

    def calm(self, **fields: Any) -> Calm:
        """What this request gives where nothing goes wrong; made once, and deleted, so that no repeat is served."""
        known = json.dumps(fields, sort_keys=True)
        if known not in self._calm:
            clip = self.finished(self.submit_insisting(f"calm-{uuid.uuid4()}", **fields))
            assert clip["status"] == "completed", clip
            self._calm[known] = self.unsigned_digest(clip), self.charges(clip)
            self.delete(clip)
        return self._calm[known]

    def assert_as_calm(self, clip: dict, calm: Calm) -> None:
        """Delivered once and charged once, the very same clip; then deleted, so that it can be made again."""
        assert clip["status"] == "completed", clip
        assert clip["backlot"]["steps_run"] == clip["backlot"]["steps"]
        query = "SELECT fence FROM generation_asset WHERE job_id = %s AND role = 'video'"
        files = self.rows(query, self.job_id(clip["id"]))
        fence = self.row("SELECT fence FROM generation_job WHERE id = %s", self.job_id(clip["id"]))
        assert files == [fence]
        assert (self.unsigned_digest(clip), self.charges(clip)) == calm
        assert [row[0] for row in self.attempts(clip)].count("delivered") == 1
        self.delete(clip)

    def delete(self, clip: dict) -> None:
        self.call("DELETE", f"/v1/videos/{clip['id']}")

    def finished(self, clip: dict) -> dict:
        """The clip once it has ended, however it did."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            clip = self.insist("GET", f"/v1/videos/{clip['id']}")
            if clip["status"] in ("completed", "failed"):
                return clip
            assert time.monotonic() < deadline, f"not done in time: {clip}"
            time.sleep(0.2)

    def unsigned_digest(self, clip: dict) -> str:
        """sha256 of the delivered clip as it was encoded and scanned, before it was signed."""
        query = """SELECT c.unsigned_digest FROM safety_credential c JOIN generation_job j
                       ON j.id::text = c.subject AND j.fence = c.fence
                    WHERE j.id = %s AND c.state = 'Trusted' AND c.scanned_digest IS NULL"""
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

    def redis_tickets(self, pool: str = "clips") -> int:
        """How many tickets of a pool wait."""
        with redis.Redis.from_url(self.redis_url) as client:
            return client.llen(pool)

    def events(self, kind: str, clip: dict) -> list[tuple[str, dict]]:
        """(severity, detail) of the operational events of a kind about a clip, in order."""
        query = "SELECT severity, detail FROM accounts_operationalevent WHERE kind = %s AND subject = %s ORDER BY id"
        return self.rows(query, kind, f"job:{self.job_id(clip['id'])}")


@pytest.fixture(scope="session")
def house() -> Iterator[Live]:
    """One for all tests that only take it over for a while; those that end it have their own.

    BACKLOT_FAULTS_HOME names a home to keep, which starts faster the next time.
    """
    kept = os.environ.get("BACKLOT_FAULTS_HOME")
    with Live(kept and Path(kept), **PINNED) as live:
        yield live


@pytest.fixture(scope="module")
def service(house) -> Iterator[Service]:
    """Leases as short as a test makes them are as long as before afterwards, and every worker takes jobs."""
    service = Service(house)
    leases = service.rows("SELECT lease_seconds, id FROM generation_registeredmodel")
    yield service
    for seconds, model in leases:
        service.sql("UPDATE generation_registeredmodel SET lease_seconds = %s WHERE id = %s", seconds, model)
    service.sql("UPDATE generation_worker SET desired = 'run' WHERE stopped_at IS NULL")
    service.close()
