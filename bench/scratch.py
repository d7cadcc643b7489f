"""A database of the benchmarks' own, made fresh and dropped afterwards, on the embedded servers or on those given.

It is named after the one that it stands beside: several homes on one server don't take each other's away.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from bench.harness import Run
from console import embedded
from console.embedded.client import home_folder
from console.embedded.locks import FileLock

SUFFIX = "_bench"


@contextmanager
def scratch_run() -> Iterator[Run]:
    """Set up servers, database and Django. One benchmark run at a time per home."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    home = home_folder() / "bench"  # beside a home that serves, not in it
    os.environ["BACKLOT_HOME"] = str(home)
    (home / "run").mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "run" / "bench")
    if not lock.alone():
        sys.exit(f"bench: another run uses {home}")
    embedded.ensure("the benchmarks", say=lambda line: print(line, file=sys.stderr))
    own = os.environ["DATABASE_URL"]
    _recreate(own)
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(own)._replace(path=f"/{_name(own)}"))
    try:
        yield _with_django()
    finally:
        _close_connections()
        _drop(own)
        os.environ["DATABASE_URL"] = own


def _with_django() -> Run:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    return Run(os.environ["DATABASE_URL"], os.environ["REDIS_URL"])


def _close_connections() -> None:
    from django.db import connection

    connection.close()
    connection.close_pool()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/") + SUFFIX


def _recreate(url: str) -> None:
    _drop(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_name(url))))


def _drop(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_name(url)))
        )
