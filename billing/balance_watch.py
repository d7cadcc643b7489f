"""Who looks at a balance hears of its change within a second, whichever process made it.

Three times a second one query per process asks for the newest line and notice of all organizations that somebody
watches here, however many pages are open; no word has to be sent by what moves money.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection

from billing.csv_stream import give_back

logger = logging.getLogger(__name__)

LOOK_S = 0.3

NEWEST = """
SELECT watched.id,
       (SELECT t.id FROM billing_transaction t WHERE t.organization_id = watched.id ORDER BY t.id DESC LIMIT 1),
       (SELECT count(*) FROM (SELECT 1 FROM billing_notice n
                               WHERE n.organization_id = watched.id AND n.read_at IS NULL LIMIT 100) AS unread)
  FROM unnest(%s::bigint[]) AS watched (id)
"""
Mark = tuple[int | None, int]


def marks(organization_ids: Iterable[int]) -> dict[int, Mark]:
    """Per organization the number of its newest line and of its unread notices; one query."""
    with connection.cursor() as cursor:
        cursor.execute(NEWEST, [list(organization_ids)])
        return {number: (line, unread) for number, line, unread in cursor.fetchall()}


class Watch:
    """The watchers of one event loop; its look runs while there are any."""

    def __init__(self) -> None:
        self._watchers: dict[int, set[asyncio.Event]] = {}
        self._known: dict[int, Mark] = {}
        self._looking: asyncio.Task | None = None

    @asynccontextmanager
    async def changes(self, organization_id: int) -> AsyncIterator[asyncio.Event]:
        """An event that is set at every change of the organization's balance or notices, from now on."""
        stirred = asyncio.Event()
        self._watchers.setdefault(organization_id, set()).add(stirred)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield stirred
        finally:
            self._watchers[organization_id].discard(stirred)
            if not self._watchers[organization_id]:
                del self._watchers[organization_id]
                self._known.pop(organization_id, None)

    async def _look(self) -> None:
        while self._watchers:
            try:
                found = await sync_to_async(_looked)(list(self._watchers))
            except DatabaseError as problem:
                logger.warning("no look at the balances", extra={"error": str(problem)})
                found = {}
            for organization_id, mark in found.items():
                before = self._known.get(organization_id)
                if before == mark or organization_id not in self._watchers:
                    continue
                self._known[organization_id] = mark
                for stirred in self._watchers[organization_id]:
                    stirred.set()
            await asyncio.sleep(LOOK_S)


def _looked(organization_ids: list[int]) -> dict[int, Mark]:
    try:
        return marks(organization_ids)
    finally:
        give_back()


_watches: dict[asyncio.AbstractEventLoop, Watch] = {}


def here() -> Watch:
    """The watch of the running event loop."""
    loop = asyncio.get_running_loop()
    for other in [known for known in _watches if known.is_closed()]:
        del _watches[other]
    return _watches.setdefault(loop, Watch())
