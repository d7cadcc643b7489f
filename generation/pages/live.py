"""Pages that move by server-sent events: a reader's jobs are looked at again whenever one of them changes.

What is sent is rendered from PostgreSQL; Redis only says when to look. Once a second there is a look anyway, because
a place in the queue changes without a word. A connection of the pool is never kept between two looks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.template.loader import render_to_string

from billing import statement
from generation import streams
from generation.pooling import give_back

LOOK_S = 1.0
LEAST_PAUSE_S = 0.2  # a tiny model runs a step in less: what can't be seen isn't rendered
MOST_FOLLOWED = 4
RETRY_MS = 1_500


def event(name: str, data: str, *, number: int | None = None) -> str:
    """One server-sent event; every line of the data gets its field name."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\n{lines}\n"


def response(events: AsyncIterator[str]) -> StreamingHttpResponse:
    """The stream as an answer that no proxy holds back. Django cancels it when the reader is gone."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(_opened(events), content_type="text/event-stream", headers=headers)


async def _opened(events: AsyncIterator[str]) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    async for one in events:
        yield one


async def in_thread(look: Callable, *args: object) -> object:
    """Run a look at the database in a thread, and give its connection back to the pool at once."""

    def looked() -> object:
        try:
            return look(*args)
        finally:
            give_back()

    return await sync_to_async(looked)()


async def changed_parts(
    job_ids: Sequence[UUID], look: Callable[[], tuple[dict[str, str], bool]]
) -> AsyncIterator[str]:
    """Events for the parts of a page whose HTML changed, then `end` once `look` says that all is over.

    `look()` answers the parts by event name, and whether anything can still change.
    """
    known: dict[str, str] = {}
    async with _stirrings(job_ids) as stirred:
        while True:
            stirred.clear()
            parts, over = await in_thread(look)
            for name, html in parts.items():
                if known.get(name) != html:
                    known[name] = html
                    yield event(name, html)
            if over:
                yield event("end", "")
                return
            yield ": alive\n\n"  # a reader that is gone is noticed here
            await asyncio.sleep(LEAST_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await stirred.wait()


@asynccontextmanager
async def _stirrings(job_ids: Sequence[UUID]) -> AsyncIterator[asyncio.Event]:
    """Set whenever one of the first few jobs is announced to have changed."""
    stirred = asyncio.Event()

    async def listen(job_id: UUID) -> None:
        async for _ in streams.follow_progress(job_id):
            stirred.set()

    listeners = [asyncio.create_task(listen(job_id)) for job_id in job_ids[:MOST_FOLLOWED]]
    try:
        yield stirred
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)


def balance_part(organization_id: int) -> dict[str, str]:
    """The balance in the strip above every page, for a stream that may have moved it."""
    balances = statement.balances(organization_id)
    return {"balance": render_to_string("billing/parts/balance.html", {"micro": balances.available_micro})}
