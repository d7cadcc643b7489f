"""Pausing a pool: nothing new is claimed until it ends; an override, so it can expire and be undone."""

from dataclasses import dataclass
from typing import Any, ClassVar

from accounts.actions import Preview
from generation.models import Attempt, Job, State
from generation.scheduling.setting_actions import ChangePoolSetting


@dataclass(frozen=True)
class PausePool(ChangePoolSetting):
    """Claim nothing new in a pool. What runs goes on, what waits keeps its place, new requests are still taken."""

    name: ClassVar[str] = "pool.pause"
    title: ClassVar[str] = "Pause pool"

    field: str = "paused"
    value: Any = True

    def preview(self) -> Preview:
        """How many jobs go on, and how many wait for the end of the pause."""
        before = self._now()
        self._check()
        running = Attempt.objects.filter(lane__pool=self.slug, ended_at=None).count()
        waiting = Job.objects.filter(lane__pool=self.slug, state=State.QUEUED).count()
        sentence = (
            f"{self.slug} claims nothing new from now on. {_jobs(running, 'that runs', 'that run')} "
            f"{'goes' if running == 1 else 'go'} on, {_jobs(waiting, 'that waits', 'that wait')} "
            f"{'keeps its place' if waiting == 1 else 'keep their places'}, new requests are still taken."
        )
        return Preview({"paused": before}, {"paused": True, "waiting": waiting}, sentence)


def _jobs(count: int, one: str, several: str) -> str:
    return f"1 job {one}" if count == 1 else f"{count} jobs {several}"
