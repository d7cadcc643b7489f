"""The whole API against its own document, by schemathesis: no 5xx but those that are told on purpose, no undocumented
status, no breach of a schema, no operation without its key.

A few cases an operation here; `make api-fuzz` is the long form, with all phases.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection

from accounts import keys
from billing import read_limits
from tests.console.fuzz import FOLDER
from tests.generation.api_stage import Tenant, tenant
from tests.generation.live import answering, serving

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]

SEED = "20261122"
FAR = 987_654_321_000  # the key that asks: chance never makes it up as an id, and hooks.py leaves it alone
NEVER = {500, 502, 504}


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture
def asking(db, monkeypatch) -> Tenant:
    """Somebody with credit and reads enough that neither is what refuses."""
    monkeypatch.setattr(read_limits, "LEAST_PER_MINUTE", 10**9)
    found = tenant("enterprise", 10**12)
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM accounts_apikey_id_seq")
        (before,) = cursor.fetchone()
        cursor.execute("SELECT setval('accounts_apikey_id_seq', %s, false)", [FAR])
        key, raw = keys.create(found.organization, "fuzz", keys.SCOPES, found.owner)
        cursor.execute("SELECT setval('accounts_apikey_id_seq', %s)", [before])
    return Tenant(found.organization, found.owner, key, raw)


def fuzz(address: str, raw: str, report: Path, *options: str) -> tuple[str, Counter]:
    """What schemathesis says, and how often each operation answered with each status."""
    command = [
        str(Path(sys.executable).with_name("st")),
        "--config-file",
        str(FOLDER / "schemathesis.toml"),
        "run",
    ]
    command += [
        f"{address}/api/openapi.json",
        "-H",
        f"Authorization: Bearer {raw}",
        "--no-color",
        "--seed",
        SEED,
    ]
    command += ["--wait-for-schema", "60", "--report", "har", "--report-har-path", str(report), *options]
    where = {"cwd": report.parent, "env": {**os.environ, "PYTHONPATH": str(FOLDER.parents[2])}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **where)
    assert report.exists(), done.stdout + done.stderr
    entries = json.loads(report.read_text())["log"]["entries"]
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    return done.stdout, Counter(entry["response"]["status"] for entry in entries)


def held(asking: Tenant, report: Path, *options: str) -> Counter:
    with serving() as address, answering():
        said, statuses = fuzz(address, asking.raw, report, *options)
    assert "No issues found" in said, said
    assert not NEVER & set(statuses), statuses
    assert keys.find(asking.raw) is not None  # or all that was seen is 401
    return statuses


def test_every_operation_keeps_to_its_document(asking, tmp_path):
    statuses = held(asking, tmp_path / "har.json", "--phases", "examples,fuzzing", "-n", "2")
    assert statuses[200] > 20, statuses
    assert sum(statuses.values()) > 100, statuses


@pytest.mark.long
def test_every_operation_keeps_to_its_document_whatever_is_sent(asking, tmp_path):
    """All phases: the examples, the edges of every schema, chance, and calls in chains of one another."""
    many = os.environ.get("API_FUZZ_EXAMPLES", "10")
    statuses = held(
        asking, tmp_path / "har.json", "--phases", "examples,coverage,fuzzing,stateful", "-n", many
    )
    assert statuses[200] > 300, statuses
    assert statuses[401] > 50, statuses
