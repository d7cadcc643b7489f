"""Finding an organization by whatever a billing admin has at hand: an id of the work, the payment or the key, an
address, a name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.urls import reverse

from accounts import tiers
from accounts.models import ApiKey, Organization
from billing.models import Decision, Payment, Refund
from generation.models import Job
from generation.pages.addresses import JobAddress

SHOWN = 50
KEY_PREFIX = 8  # what of a key is stored in the clear


@dataclass(frozen=True)
class Hit:
    """Something that was found by its id: what it is, whose, and the page about it."""

    what: str
    id: str
    organization: Organization
    href: str


def by_id(text: str) -> list[Hit]:
    """What carries this very id: a job, a decision, a payment, a payment at its provider, an API key; five queries."""
    wanted = text.strip()
    if not wanted:
        return []
    return [*_work(wanted), *_payments(wanted), *_keys(wanted)]


def organizations(text: str, now: datetime) -> QuerySet[Organization]:
    """Organizations by a part of their name, slug or a member's address, with the tier in force; all for no text."""
    rows = Organization.objects.annotate(tier=tiers.tier_in_force(now)).order_by("name", "pk")
    wanted = text.strip()
    if not wanted:
        return rows
    named = Q(name__icontains=wanted) | Q(slug__icontains=wanted)
    if "@" in wanted:
        named |= Q(memberships__user__email__icontains=wanted)
    return rows.filter(named).distinct()


def _work(wanted: str) -> Iterator[Hit]:
    if not re.fullmatch(JobAddress.regex, wanted):
        return
    identity = JobAddress().to_python(wanted)
    for job in Job.objects.filter(pk=identity).select_related("organization"):
        href = reverse("billing_work", args=[job.public_id])
        yield Hit(job.get_kind_display(), job.public_id, job.organization, href)
    for decision in Decision.objects.filter(pk=identity).select_related("organization"):
        href = reverse("billing_decision", args=[decision.pk])
        yield Hit("Decision", str(decision.pk), decision.organization, href)


def _payments(wanted: str) -> Iterator[Hit]:
    named = Q(provider_id=wanted) | Q(provider_payment_id=wanted)
    refunds = Refund.objects.filter(provider_refund_id=wanted).values("payment")
    if identity := _uuid(wanted):
        named |= Q(pk=identity)
    elif len(wanted) < KEY_PREFIX:
        return
    found = Payment.objects.filter(named | Q(pk__in=refunds)).select_related("organization")
    for payment in found[:SHOWN]:
        page = reverse("billing_organization", args=[payment.organization.slug])
        yield Hit("Payment", str(payment.pk), payment.organization, f"{page}#payments")


def _keys(wanted: str) -> Iterator[Hit]:
    """By the first signs of a key; what follows them is not looked at."""
    if not wanted.startswith("bk_"):
        return
    found = ApiKey.objects.filter(prefix__startswith=wanted[:KEY_PREFIX]).select_related("organization")
    for key in found.order_by("organization__name", "pk")[:SHOWN]:
        shown = f"{key.prefix}…{key.last_four}"
        yield Hit(
            "API key", shown, key.organization, reverse("billing_organization", args=[key.organization.slug])
        )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
