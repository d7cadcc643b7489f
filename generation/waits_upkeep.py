"""Once a second: who waits too long, and what is done about it."""

from django.utils import timezone

from generation import endpoints, preemption, routing, told


def run() -> None:
    """One round. The endpoints last: they are the one thing here that may keep somebody waiting."""
    now = timezone.now()
    preemption.run(now)
    routing.reroute()
    told.note_untold(now)
    endpoints.look()
