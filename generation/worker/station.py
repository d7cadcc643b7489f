"""A worker process: its row, its heartbeat, the models it has loaded, and whether it is to stop.

The heartbeat says that the process lives; it renews no lease. A hung job loses its lease while the process still beats.
"""

import logging
import os
import signal
import socket
import threading

from django.conf import settings
from django.db import Error, connection
from django.db.models.functions import Now

from generation.models import Kind, Pool, Worker
from generation.worker.engine_shelf import EngineShelf
from generation.worker.finishing_line import FinishingLine
from generation.worker.screening_line import ScreeningLine
from generation.worker.shared_claim import SharedClaim

logger = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
# Of the ten seconds that the supervisor waits: the step at hand and its checkpoint come first.
FINISH_BEFORE_STOP_S = 5.0


class Station:
    """One process that serves one pool. `finishing` clips at once leave it beside the device; see finishing_line.py."""

    def __init__(self, pool: Pool, slots: int, finishing: int | None = None) -> None:
        self.pool = pool
        self.stopping = threading.Event()
        self.finishing = FinishingLine(settings.FINISHING_PLACES if finishing is None else finishing)
        self.engines = EngineShelf()
        # Loaded before the row is written: a worker that is there is ready.
        self.engines.load_all(pool)
        if pool.kind == Kind.CLIP:
            # Its checkpoints bring torch, which the worker of a server's pool does without.
            from generation.worker import leftovers

            leftovers.clear()
        self.worker = Worker.objects.create(
            pool=pool,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self.engines.devices(),
            slots=slots,
            seen_at=Now(),
        )
        self.engines.belongs_to(self.worker)
        self.claims = SharedClaim(self.worker, pool.pk)
        self.screening = ScreeningLine(
            pool.pk, self.stopping, beside=pool.kind == Kind.CLIP and bool(self.finishing.places)
        )
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def engine(self, model, precision: str | None = None):
        """The loaded model at a precision, its own where none is named. Raises EngineError."""
        return self.engines.get(model, precision)

    def wanted(self) -> bool:
        """Whether to take another job. It answers a wish for a restart by stopping: its keeper starts a new one.

        So it does where its row is gone, as in a database that was restored from a backup: every ticket would fail.
        """
        if self.stopping.is_set():
            return False
        desired = Worker.objects.filter(pk=self.worker.pk).values_list("desired", flat=True).first()
        if desired is None:
            logger.error("the row of this worker is gone; it stops, to be started anew")
        if desired in (None, Worker.Desired.RESTART):
            os.kill(os.getpid(), signal.SIGTERM)
        return desired == Worker.Desired.RUN

    def between_jobs(self) -> None:
        """What is done before a job is taken. Code begins from no picture, and waits for nothing."""
        if self.pool.kind == Kind.CLIP:
            self.screening.between_jobs()

    def close(self) -> None:
        """The process ends in order: what is nearly finished is, the rest goes back, and its row says so at once."""
        self.stopping.set()
        self.finishing.close(FINISH_BEFORE_STOP_S)
        Worker.objects.filter(pk=self.worker.pk).update(stopped_at=Now())

    def _beat(self) -> None:
        while not self.stopping.wait(HEARTBEAT_S):
            try:
                # Also back from the dead: a machine that slept was closed as silent meanwhile.
                row = Worker.objects.filter(pk=self.worker.pk)
                row.update(seen_at=Now(), stopped_at=None)
                if row.filter(desired=Worker.Desired.RESTART).exists():
                    # An idle process is told here; one with a job hands it back on the signal.
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
            except Error as error:
                logger.warning("heartbeat not written", extra={"error": str(error)})
            finally:
                connection.close()
