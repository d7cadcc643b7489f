"""A worker process: its row, its heartbeat, the models it has loaded, and whether it is to stop.

The heartbeat says that the process lives; it renews no lease. A hung job loses its lease while the process still beats.
"""

import logging
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

from django.db import Error, connection
from django.db.models.functions import Now

from generation import registry
from generation.engines import facts
from generation.engines.errors import ModelUnavailable
from generation.models import Kind, Pool, RegisteredModel, Worker

logger = logging.getLogger(__name__)

HEARTBEAT_S = 2.0


class Station:
    """One process that serves one pool."""

    def __init__(self, pool: Pool, slots: int) -> None:
        self.pool = pool
        self.stopping = threading.Event()
        self._engines: dict[int, Any] = {}
        self._loading = threading.Lock()
        for model in registry.available():
            if model.pool_id == pool.pk:
                self.engine(model)
        self.worker = Worker.objects.create(
            pool=pool,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self._device(),
            slots=slots,
            seen_at=Now(),
        )
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def engine(self, model: RegisteredModel) -> Any:
        """The loaded model, loaded at its first use and kept; torch is first imported here."""
        with self._loading:
            if model.pk not in self._engines:
                self._engines[model.pk] = _load(model)
            return self._engines[model.pk]

    def wanted(self) -> bool:
        """Whether to take another job. It answers a wish for a restart by stopping: its keeper starts a new one."""
        if self.stopping.is_set():
            return False
        desired = Worker.objects.values_list("desired", flat=True).get(pk=self.worker.pk)
        if desired == Worker.Desired.RESTART:
            os.kill(os.getpid(), signal.SIGTERM)
        return desired == Worker.Desired.RUN

    def close(self) -> None:
        """The process ends in order: its row says so at once."""
        self.stopping.set()
        Worker.objects.filter(pk=self.worker.pk).update(stopped_at=Now())

    def _device(self) -> str:
        names = {engine.device_name for engine in self._engines.values()}
        return ", ".join(sorted(names)) or "cpu"

    def _beat(self) -> None:
        while not self.stopping.wait(HEARTBEAT_S):
            try:
                # Also back from the dead: a machine that slept was closed as silent meanwhile.
                Worker.objects.filter(pk=self.worker.pk).update(seen_at=Now(), stopped_at=None)
            except Error as error:
                logger.warning("heartbeat not written", extra={"error": str(error)})
            finally:
                connection.close()


def _load(model: RegisteredModel) -> Any:
    """The engine for a row of the registry; the revision that checkpoints carry is the row's."""
    folder = registry.folder(model)
    if model.folder in {shipped.folder for shipped in registry.SHIPPED}:
        _require_same_files(model, folder)
    logger.info("loading model", extra={"model": str(model), "folder": str(folder)})
    if model.kind == Kind.CLIP:
        from generation.engines.video import VideoEngine

        return VideoEngine(folder, model.revision, dtype=model.precision)
    from generation.engines.code import CodeEngine

    engine = CodeEngine(folder, model.revision)
    # The first pass through a model is many times slower than the next: no reader should wait for it.
    list(engine.stream("pass\n", max_tokens=2, temperature=0.0, top_p=1.0, seed=0))
    return engine


def _require_same_files(model: RegisteredModel, folder: Path) -> None:
    """A job that waited over an upgrade must not be made by other weights than it was quoted with."""
    found = facts.revision_of(folder)
    if found != model.revision:
        raise ModelUnavailable(f"{model} is gone: its folder holds revision {found} now.")
