"""What webhooks are told of jobs and of money, from the outbox: the handlers of its topics."""

from django.conf import settings

from accounts.models import OutboxEvent
from accounts.webhooks import endpoints, events
from billing import notices
from billing.models import Notice

JOB_TOPICS = ("video.completed", "video.failed", "completion.completed", "completion.failed")
MONEY_TOPICS = tuple(notices.TOPICS.values())


def tell_job(event: OutboxEvent) -> None:
    """The end of a job: which one, and how it ended. What was made is asked for by its id."""
    told = event.payload
    status = "completed" if event.topic.endswith(".completed") else "failed"
    events.publish(event, event.topic, {"id": told["id"], "status": status, "state": told["state"]})


def tell_money(event: OutboxEvent) -> None:
    """A notice, as it stands on the page of notices."""
    told = dict(event.payload)
    link = told.pop("link", "")
    if link and settings.SITE_URL:
        told["link"] = f"{settings.SITE_URL}{link}"
    events.publish(event, event.topic, told)


def notice_of_one_switched_off(event: OutboxEvent) -> None:
    """A webhook that was switched off by itself: a notice on the page and by mail, and an event for the others."""
    told = event.payload
    notices.tell(
        event.organization_id,
        Notice.Kind.WEBHOOK_DISABLED,
        event.key,
        told["message"],
        link=f"/webhooks/{told['webhook']}/",
        detail={name: told[name] for name in ("webhook", "url", "because")},
    )


HANDLERS = {
    **dict.fromkeys(MONEY_TOPICS, tell_money),
    endpoints.DISABLED_TOPIC: notice_of_one_switched_off,
}
