"""Rounds of upkeep that must not run twice at once: two would each see what neither has changed yet."""

from django.db import connection


def is_mine(name: str) -> bool:
    """Whether this transaction holds the round of that name until its end; False where another one is at it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [name])
        return cursor.fetchone()[0]
