"""Clips that have left the device: encoded, scanned, signed and delivered beside the next clip's steps.

Each has a thread and a database connection of its own and goes on renewing its own lease by progress. There are only so
many places: when all are taken the device waits for one, with its last clip decoded.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING

from django.db import connection

from accounts import operations
from generation import finalization
from generation.scheduling.leases import LeaseLost
from generation.worker.stages import HandedBack

if TYPE_CHECKING:
    from generation.worker.clip_turn import ClipTurn

logger = logging.getLogger(__name__)

RENEW_EVERY_S = 5.0
# As long as no gate, encoder or storage that works needs. Then a thread hangs, and only a new process gets rid of it.
STUCK_AFTER_S = 120.0


class FinishingLine:
    """At most `places` clips at once; with 0 places the device waits while each one is finished."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._under_way: dict[int, ClipTurn] = {}
        self._moved = threading.Condition()

    def take(self, turn: "ClipTurn", finish: Callable[[], None]) -> None:
        """Let `finish` run beside the caller, once there is a place for it.

        Raises LeaseLost while it waits, and HandedBack where no place came free: then the process is asked to stop,
        and its keeper starts a new one.
        """
        if not self.places:
            finish()
            return
        deadline = time.monotonic() + STUCK_AFTER_S
        while not self._enter(turn):
            turn.lease.renew(stage="waiting")
            if time.monotonic() > deadline:
                self._give_up(turn)
        name = f"finishing-{turn.lease.fence}"
        # A daemon, so that a storage that hangs cannot keep a stopping worker alive.
        run = copy_context().run  # its log lines and spans belong to the same job
        threading.Thread(target=run, args=(self._run, turn, finish), name=name, daemon=True).start()

    def wait(self, seconds: float) -> list["ClipTurn"]:
        """Wait until every clip has left the line, so long at most; those that have not."""
        with self._moved:
            self._moved.wait_for(lambda: not self._under_way, seconds)
            return list(self._under_way.values())

    def close(self, seconds: float) -> None:
        """The process ends: let them finish, then hand back the rest.

        Their latents are whole in their last checkpoints, so the worker that adopts them redoes no step; what the
        thread here still writes is refused under its ended fence.
        """
        for turn in self.wait(seconds):
            logger.warning("handed back while finishing", extra={"job": str(turn.job.pk)})
            with suppress(LeaseLost):
                finalization.hand_back(turn.lease, turn.ran, "the worker stopped while the clip was finished")

    def _enter(self, turn: "ClipTurn") -> bool:
        with self._moved:
            free = self._moved.wait_for(lambda: len(self._under_way) < self.places, RENEW_EVERY_S)
            if free:
                self._under_way[turn.lease.fence] = turn
            return free

    def _run(self, turn: "ClipTurn", finish: Callable[[], None]) -> None:
        try:
            finish()
        except Exception:
            # What nobody foresaw ends this thread alone; the lease runs out and gives the clip to another worker.
            logger.exception("finishing crashed", extra={"job": str(turn.job.pk), "fence": turn.lease.fence})
        finally:
            connection.close()
            with self._moved:
                del self._under_way[turn.lease.fence]
                self._moved.notify_all()

    def _give_up(self, turn: "ClipTurn") -> None:
        worker = turn.attempt.worker_id
        operations.report(
            "worker.finishing_stuck",
            "error",
            f"worker:{worker}",
            {"waited_s": STUCK_AFTER_S, "places": self.places},
        )
        os.kill(os.getpid(), signal.SIGTERM)
        raise HandedBack("no clip of this worker came to its end")
