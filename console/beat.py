"""The beat, steady where the machine's clock is set: what was set back would otherwise be silent until it is that late
again, and with it the reaper of leases."""

import time
from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler

SET_BACK_S = 1.0
ASK_EVERY_S = 5


class SteadyScheduler(PersistentScheduler):
    """Celery's own, which notices that the clock was set back (the monotonic one never is): intervals begin anew."""

    max_interval = ASK_EVERY_S

    def setup_schedule(self) -> None:
        """The file may be from before the clock was set."""
        super().setup_schedule()
        self._offset_s = _offset()
        self._begin_anew()

    def tick(self, *arguments: Any, **named: Any) -> float:
        before, self._offset_s = self._offset_s, _offset()
        if self._offset_s < before - SET_BACK_S:
            self._begin_anew()
        return super().tick(*arguments, **named)

    def _begin_anew(self) -> None:
        """Nothing was sent in the future: an entry of which the schedule says so is due after one interval from now."""
        now = self.app.now()
        for entry in self.schedule.values():
            if entry.last_run_at and entry.last_run_at > now + timedelta(seconds=SET_BACK_S):
                entry.last_run_at = now
        self._heap = None


def _offset() -> float:
    """Seconds from the monotonic clock, which nobody sets, to the machine's."""
    return time.time() - time.monotonic()
