"""A PostgreSQL cluster of the hammer's own, which it may stop at any moment, and Django pointed at it."""

import os
import signal
from pathlib import Path

import psycopg

from console.embedded.postgres import Postgres


class Cluster:
    """The server of the wheel on a fresh folder. `stop_at_once` is `pg_ctl stop -m immediate`, and a start again."""

    def __init__(self, home: Path) -> None:
        (home / "run").mkdir(parents=True, exist_ok=True)
        self._server = Postgres(home)
        self._server.start()
        self.url = self._server.state().url
        self.stops = 0

    def stop_at_once(self) -> None:
        self._server.process.send_signal(signal.SIGQUIT)
        self._server.process.wait()
        self._server.restart()
        self.stops += 1
        # What the planner knows of tables is autovacuum's to keep, which these stops never let get to it: after
        # fifty thousand operations a commit took 70 ms by plans for empty tables.
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ANALYZE")

    def close(self) -> None:
        self._server.stop()


def set_up_django(url: str, home: Path) -> None:
    """Migrated, with plain connections: a forked client opens its own, and none comes from a pool of its parent's."""
    os.environ["DATABASE_URL"] = url
    os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"  # nothing of money rests on it
    os.environ["BACKLOT_HOME"] = str(home)
    os.environ["PAYMENTS"] = "sandbox"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    connection.settings_dict["OPTIONS"] = {}
    call_command("migrate", interactive=False, verbosity=0)
    connection.close()
