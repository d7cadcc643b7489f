"""A notice by mail, once: a trigger writes its outbox event with the row, whoever told it, and upkeep sends it."""

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage

from accounts import outbox
from accounts.models import Membership, OutboxEvent
from billing.models import Notice

TOPIC = "notice.mail"
MOST_AT_ONCE = 20
READERS = (Membership.Role.OWNER, Membership.Role.BILLING)


def send_due() -> int:
    """Send what is due; the number of notices that were sent."""
    return outbox.dispatch(MOST_AT_ONCE, {TOPIC: _send})


def _send(event: OutboxEvent) -> None:
    notice = Notice.objects.select_related("organization").get(pk=event.payload["notice"])
    readers = Membership.objects.filter(
        organization=notice.organization, role__in=READERS, user__is_active=True
    ).order_by("user__email")
    addresses = list(readers.values_list("user__email", flat=True))
    if not addresses:
        return
    try:
        message(notice, addresses).send()
    except (smtplib.SMTPException, OSError) as problem:
        raise outbox.NotDelivered(f"mail: {problem}") from problem


def message(notice: Notice, addresses: list[str]) -> EmailMessage:
    """The mail of a notice; its Message-ID is the notice's own, so that a second copy is known as one."""
    organization = notice.organization
    lines = [notice.message]
    if notice.link and settings.SITE_URL:
        lines.append(f"{settings.SITE_URL}{notice.link}")
    lines.append(f"You get this because you look after the credits of {organization.name} on Backlot.")
    return EmailMessage(
        subject=f"{organization.name}: {notice.get_kind_display()}",
        body="\n\n".join(lines),
        bcc=addresses,
        headers={"Message-ID": f"<notice-{notice.pk}@{organization.slug}.backlot>"},
    )
