"""What the outbox hands on: the end of a job, to whoever watches it and to webhooks; what happened to the money, to
webhooks; a new organization, for what it begins with; addresses that a CDN is to forget."""

from uuid import UUID

from accounts import outbox, tracing
from accounts.models import OutboxEvent
from generation import streams, webhook_events, welcome
from generation.afterwards import cdn
from generation.tracing import contexts

MOST_AT_ONCE = 100


def dispatch() -> int:
    """Hand on what is due; the number of events."""
    handlers = {
        **dict.fromkeys(webhook_events.JOB_TOPICS, _tell_of_job),
        **webhook_events.HANDLERS,
        "organization.created": welcome.greet,
        cdn.TOPIC: cdn.tell,
    }
    return outbox.dispatch(MOST_AT_ONCE, handlers)


def _tell_of_job(event: OutboxEvent) -> None:
    job_id, state = UUID(event.payload["job"]), event.payload["state"]
    about = {"backlot.job": event.payload["id"], "backlot.state": state}
    with tracing.span(f"tell {event.topic}", about, tracing.CONSUMER, contexts.of(job_id)):
        webhook_events.tell_job(event)
        streams.announce(job_id, "end", {"state": state})
