"""Slots of one process that want a job at the same moment claim together: one of them, for all.

Claims of a pool go one after another in the database (dispatch.py), each for one flush of the log. So the slots that
come while a claim of their process is under way need not queue up there: whoever is next takes a job for each of them.
A slot that comes alone claims as ever, and no job is claimed that has no slot waiting for it.
"""

import threading
from dataclasses import dataclass
from itertools import zip_longest

from generation import dispatch
from generation.models import Attempt, Worker


@dataclass(eq=False)
class _Seat:
    attempt: Attempt | None = None
    served: bool = False


class SharedClaim:
    """The claims of one process for one pool."""

    def __init__(self, worker: Worker, pool_slug: str) -> None:
        self._worker, self._pool_slug = worker, pool_slug
        self._turn = threading.Lock()
        self._door = threading.Lock()
        self._seats: list[_Seat] = []

    def next(self) -> Attempt | None:
        """The next job for the calling slot; None where nothing may run. What a claim raises is raised to the slot that
        made it; those that waited with it claim again."""
        seat = _Seat()
        with self._door:
            self._seats.append(seat)
        try:
            with self._turn:
                if not seat.served:
                    self._serve()
        finally:
            with self._door:
                if not seat.served:
                    self._seats.remove(seat)
        return seat.attempt

    def _serve(self) -> None:
        with self._door:
            seats = list(self._seats)
        attempts = dispatch.claim_many(self._worker, self._pool_slug, len(seats))
        with self._door:
            del self._seats[: len(seats)]
            for seat, attempt in zip_longest(seats, attempts):
                seat.attempt, seat.served = attempt, True
