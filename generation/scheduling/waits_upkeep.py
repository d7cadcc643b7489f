"""Once a second: who waits too long, and what is done about it."""

from generation import dispatch
from generation.scheduling import endpoints, preemption, routing, told


def run() -> None:
    """One round. The endpoints last: they are the one thing here that may keep somebody waiting.

    By the database's clock, as the waits that are compared with it: one that is ahead would have everybody give way.
    """
    now = dispatch.clock()
    preemption.run(now)
    routing.reroute()
    told.note_untold(now)
    endpoints.look()
