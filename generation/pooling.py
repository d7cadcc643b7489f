"""Database connections come from a small pool; a stream that stays open for minutes must not hold one."""

from django.db import connections


def give_back() -> None:
    """Return this thread's connections to the pool, as the end of a request would; those inside a transaction stay."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
