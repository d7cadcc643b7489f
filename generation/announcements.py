"""What the outbox hands on: the end of a job, to whoever watches it. Webhooks will listen to the same topics."""

from uuid import UUID

from accounts import outbox
from accounts.models import OutboxEvent
from generation import streams

MOST_AT_ONCE = 100


def dispatch() -> int:
    """Hand on what is due; the number of events."""
    topics = ("video.completed", "video.failed", "completion.completed", "completion.failed")
    return outbox.dispatch(MOST_AT_ONCE, dict.fromkeys(topics, _tell_watchers))


def _tell_watchers(event: OutboxEvent) -> None:
    streams.announce(UUID(event.payload["job"]), "end", {"state": event.payload["state"]})
