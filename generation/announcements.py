"""What the outbox hands on: the end of a job, to whoever watches it; a new organization, for what it begins with;
addresses that a CDN is to forget."""

from uuid import UUID

from accounts import outbox
from accounts.models import OutboxEvent
from generation import streams, welcome
from generation.afterwards import cdn

MOST_AT_ONCE = 100


def dispatch() -> int:
    """Hand on what is due; the number of events."""
    topics = ("video.completed", "video.failed", "completion.completed", "completion.failed")
    handlers = {
        **dict.fromkeys(topics, _tell_watchers),
        "organization.created": welcome.greet,
        cdn.TOPIC: cdn.tell,
    }
    return outbox.dispatch(MOST_AT_ONCE, handlers)


def _tell_watchers(event: OutboxEvent) -> None:
    streams.announce(UUID(event.payload["job"]), "end", {"state": event.payload["state"]})
