"""Input pictures are screened in a thread of their own: a clip under way keeps nobody's picture waiting."""

import logging
import threading

from django.db import Error, connection

from generation.inputs import screening

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class ScreeningLine:
    """Looks for pictures of a pool every second; `beside` False leaves that to the loop that takes jobs."""

    def __init__(self, pool_slug: str, stopping: threading.Event, *, beside: bool) -> None:
        self.pool_slug = pool_slug
        self.beside = beside
        self._stopping = stopping
        if beside:
            threading.Thread(target=self._run, name="screening", daemon=True).start()

    def between_jobs(self) -> None:
        """What the loop calls before it takes a job."""
        if not self.beside:
            screening.run_waiting(self.pool_slug)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                screening.run_waiting(self.pool_slug)
            except Error as error:
                logger.warning("pictures wait for the database", extra={"error": str(error)})
            finally:
                connection.close()
