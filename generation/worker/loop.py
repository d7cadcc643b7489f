"""What a ticket starts: take jobs, best first, until there are none or the process is to stop."""

import logging
import time
from collections.abc import Callable

from generation.models import Attempt, Kind
from generation.worker import traces
from generation.worker.station import Station

logger = logging.getLogger(__name__)


def work(station: Station, ticket: str = "") -> int:
    """Run jobs until the pool has none for this worker; the number that were taken.

    `ticket` is the traceparent of the ticket that started this, where traces are on.
    """
    taken = 0
    while station.wanted():
        station.between_jobs()
        asked_ns = time.time_ns()
        attempt = station.claims.next()
        if attempt is None:
            break
        taken += 1
        with traces.under_way(attempt, asked_ns, ticket):
            run(attempt, station)
        # Behind a job and not before it: nobody waits for this.
        station.engines.let_go_of_quarantined()
    return taken


def run(attempt: Attempt, station: Station) -> None:
    """One attempt, by the kind of its job. What nobody foresaw crashes it, and the lease gives the job back."""
    logger.info(
        "claimed", extra={"job": str(attempt.job_id), "fence": attempt.fence, "lane": attempt.lane_id}
    )
    runner(attempt.job.kind)(attempt, station)


def runner(kind: str) -> Callable[[Attempt, Station], None]:
    """What runs an attempt at a job of that kind. Only clips bring torch: the worker of a server's pool has none."""
    if kind == Kind.CLIP:
        from generation.worker import clip_attempt

        return clip_attempt.run
    from generation.worker import code_attempt

    return code_attempt.run
