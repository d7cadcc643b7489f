"""Statements that are short although the planner fears otherwise: run as they are, by one process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.db import connection, transaction


@contextmanager
def plainly() -> Iterator[None]:
    """A transaction whose statements are neither compiled nor spread over processes: on a busy machine, waiting for
    either takes longer than they do."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0")
        yield


def read_plainly(view: Callable[..., Any]) -> Callable[..., Any]:
    """A view whose queries are read so."""

    @wraps(view)
    def read(*given: Any, **named: Any) -> Any:
        with plainly():
            return view(*given, **named)

    return read
