"""The models that a worker process has in memory, one engine per revision and precision, loaded at their first use.

A load may take longer than a lease lasts: it runs on a thread of its own, and whoever waits for it says so every few
seconds. What was loaded, and what could not be, is written to the registry by the worker that tried.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from generation import registry
from generation.engines.errors import EngineError, ModelUnavailable
from generation.models import Pool, RegisteredModel, Worker
from generation.revisions import loading

logger = logging.getLogger(__name__)

SAY_EVERY_S = 5.0
LOAD_PATIENCE_S = 900.0
Key = tuple[int, str]


class EngineShelf:
    """Threads of one process share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loads: dict[Key, Future] = {}
        self._worker: Worker | None = None
        self._untold: list[tuple[RegisteredModel, str, float, str]] = []

    def load_all(self, pool: Pool) -> None:
        """Every active model of the pool at its own precision; one that can't be is reported, and the others serve."""
        for model in registry.available():
            if pool.pk in (model.pool_id, *model.also_pools):
                try:
                    self.get(model)
                except EngineError as problem:
                    logger.error("model not loaded", extra={"model": str(model), "error": str(problem)})

    def belongs_to(self, worker: Worker) -> None:
        """From now on loads are told to the registry in this worker's name; so are those before."""
        self._worker = worker
        untold, self._untold = self._untold, []
        for load in untold:
            self._note(*load)

    def has(self, model: RegisteredModel, precision: str | None = None) -> bool:
        load = self._loads.get((model.pk, precision or model.precision))
        return load is not None and load.done()

    def get(
        self,
        model: RegisteredModel,
        precision: str | None = None,
        *,
        waiting: Callable[[], object] | None = None,
    ) -> Any:
        """The engine, loaded where it is not; `waiting` is called every few seconds until it is, and may raise.

        Raises EngineError where it cannot be loaded; the next call tries again.
        """
        key = (model.pk, precision or model.precision)
        with self._lock:
            load = self._loads.get(key)
            if own := load is None:
                load = self._loads[key] = Future()
                thread = threading.Thread(target=_into, args=(load, model, key[1]), name="load", daemon=True)
                thread.start()
        began = time.monotonic()
        try:
            engine = _awaited(load, waiting)
        except EngineError as problem:
            with self._lock:
                self._loads.pop(key, None)
            if own:
                self._note(model, key[1], 0.0, str(problem))
            raise
        if own:
            self._note(model, key[1], time.monotonic() - began, "")
        return engine

    def lost(self, model: RegisteredModel, problem: str) -> None:
        """What was loaded can't be used any more: its server is away. The next `get` looks for it again."""
        with self._lock:
            self._loads.pop((model.pk, model.precision), None)
        self._note(model, model.precision, 0.0, problem)

    def devices(self) -> str:
        """What denoises here, in words."""
        engines = [load.result() for load in self._loads.values() if load.done()]
        return ", ".join(sorted({engine.device_name for engine in engines})) or "cpu"

    def let_go_of_quarantined(self) -> None:
        """Drop revisions that an operator or a failed gate has quarantined; one query."""
        for model_id in registry.quarantined({key[0] for key in list(self._loads)}):
            with self._lock:
                self._loads = {key: load for key, load in self._loads.items() if key[0] != model_id}
            registry.forget_load(self._worker, model_id)

    def _note(self, model: RegisteredModel, precision: str, seconds: float, problem: str) -> None:
        if self._worker is None:
            self._untold.append((model, precision, seconds, problem))
        elif problem:
            registry.note_load_problem(self._worker, model, precision, problem)
        else:
            registry.note_load(self._worker, model, precision, seconds)


def _awaited(load: Future, waiting: Callable[[], object] | None) -> Any:
    deadline = time.monotonic() + LOAD_PATIENCE_S
    while True:
        try:
            return load.result(SAY_EVERY_S)
        except TimeoutError:
            if load.done():
                raise  # the load's own, not this wait's
            if time.monotonic() > deadline:
                raise ModelUnavailable(f"It was not loaded within {LOAD_PATIENCE_S:.0f} s.") from None
            if waiting:
                waiting()


def _into(load: Future, model: RegisteredModel, precision: str) -> None:
    try:
        load.set_result(loading.load(model, precision))
    except EngineError as problem:
        load.set_exception(problem)
    except Exception as problem:
        logger.exception("loading crashed", extra={"model": str(model), "precision": precision})
        load.set_exception(ModelUnavailable(f"{type(problem).__name__}: {problem}"))
