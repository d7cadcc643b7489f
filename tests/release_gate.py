"""`make gate`: the deploy gate of a release, asked of this code in a database and a home of its own.

The shipped models are put through their own gate first, as on the first start of an installation, so what is judged is
what a new installation would serve. `SHORT=1` takes the quick form, which CI runs. Exit code 0 only where all holds.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests import servers

NAME = "backlot_gate"
POOL = "clips"
CLIPS = {True: 2, False: 3}


@contextmanager
def scratch_database() -> Iterator[None]:
    """The database of this run alone, made fresh and dropped afterwards; DATABASE_URL names it meanwhile."""
    servers.prepare()
    # As for the tests: a busy machine is not what a release is judged by.
    os.environ.setdefault("SIGNING_BUDGET_SECONDS", "20")
    own = os.environ["DATABASE_URL"]
    _drop(own)
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(own)._replace(path=f"/{NAME}"))
    try:
        yield
    finally:
        _drop(own)


def _drop(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(NAME)))


def main(quick: bool) -> int:
    """0 where the release may go out."""
    with scratch_database():
        import django
        from django.core.management import call_command
        from django.core.management.base import CommandError

        django.setup()
        from generation.evaluation import candidates
        from generation.models import Evaluation
        from generation.revisions import rollout
        from tests import scoring

        call_command("migrate", interactive=False, verbosity=0)
        with scoring.of_this_run():
            if not candidates.admit(POOL):
                last = Evaluation.objects.order_by("-pk").first()
                why = last and (last.problem or ", ".join(rollout.missed(last)))
                sys.stderr.write(f"gate: the shipped model for clips doesn't pass its own gate: {why}\n")
                return 1
            scoring.ready()
            try:
                call_command(
                    "evals", "deploy-gate", f"--clips={CLIPS[quick]}", *(["--quick"] if quick else [])
                )
            except CommandError as refused:
                sys.stderr.write(f"gate: {refused}\n")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ.get("SHORT") == "1"))
