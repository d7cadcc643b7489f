"""The threads of a process that serve endpoints, so many at most; a round of the beat gives them work and returns.

They are daemons: a process that is stopped doesn't wait for somebody else's server, since the lease that it leaves
behind runs out and what it had not recorded is sent again.
"""

import logging
import threading
import time

from django.db import connection

from accounts.webhooks import rounds
from accounts.webhooks.rounds import Holding

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 32  # endpoints

_busy: set[Holding] = set()
_counting = threading.Lock()


def run() -> int:
    """Begin to serve as many endpoints as there are free places; how many."""
    with _counting:
        free = MOST_AT_ONCE - len(_busy)
        found = rounds.claim(free)
        _busy.update(found)
    for holding in found:
        threading.Thread(target=_serve, args=(holding,), name="webhook-courier", daemon=True).start()
    return len(found)


def _serve(holding: Holding) -> None:
    try:
        rounds.serve(holding, rounds.ways(), time.time)
    except Exception:
        # The lease runs out, and the next holder writes that it was lost.
        logger.exception("webhook %s could not be served", holding.endpoint_id)
    finally:
        with _counting:
            _busy.discard(holding)
        connection.close()
