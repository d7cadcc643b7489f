"""A CSV that is sent while it is read, page by page: memory stays flat, and no connection is kept between pages."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import StreamingHttpResponse

Row = Sequence[object]
# `fetch(where)` answers the rows from there on, and where to go on; None is the end.
Fetch = Callable[[object], tuple[Iterable[Row], object | None]]

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def response(filename: str, header: Row, fetch: Fetch, start: object) -> StreamingHttpResponse:
    """The download. The rows are those of `fetch`, asked for from `start` on."""
    streamed = StreamingHttpResponse(_pages(header, fetch, start), content_type="text/csv; charset=utf-8")
    streamed["Content-Disposition"] = f'attachment; filename="{filename}"'
    streamed["Cache-Control"] = "no-store"
    return streamed


async def _pages(header: Row, fetch: Fetch, start: object) -> AsyncIterator[bytes]:
    yield _written([header])
    where: object | None = start
    while where is not None:
        rows, where = await sync_to_async(_fetched)(fetch, where)
        if rows:
            yield _written(rows)


def _fetched(fetch: Fetch, where: object) -> tuple[list[Row], object | None]:
    try:
        rows, further = fetch(where)
        return list(rows), further
    finally:
        give_back()


def give_back() -> None:
    """Return this thread's connections to the pool, as the end of a request would; those inside a transaction stay."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _written(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it; figures stay figures."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "" if value is None else value
