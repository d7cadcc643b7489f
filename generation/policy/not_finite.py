"""When clips that blew up speak against the worker that made them, and not against their prompts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class BlowUp:
    """One clip whose latent was no longer finite: on which worker, for which prompt (its sha256), when."""

    worker: str
    prompt: str
    at: datetime


@dataclass(frozen=True)
class Terms:
    """A worker is blamed from `attempts` blow-ups on, over at least `prompts` different prompts, within `window`."""

    attempts: int
    prompts: int
    window: timedelta


def speaks_against(
    worker: str, seen: Iterable[BlowUp], terms: Terms, now: datetime, since: datetime | None = None
) -> list[BlowUp]:
    """The blow-ups for which the worker is to be quarantined, oldest first; empty where it is not.

    Only those within the window and after `since` count, the moment from which the worker is judged anew. A prompt
    that blew up on another worker as well is to blame itself, so it never speaks against any worker.
    """
    recent = [one for one in seen if now - terms.window <= one.at <= now]
    elsewhere = {one.prompt for one in recent if one.worker != worker}
    own = [
        one
        for one in recent
        if one.worker == worker and one.prompt not in elsewhere and (since is None or one.at >= since)
    ]
    blamed = len(own) >= terms.attempts and len({one.prompt for one in own}) >= terms.prompts
    return sorted(own, key=lambda one: one.at) if blamed else []
