"""Work by its id or by words of its prompt. Everyone finds what is theirs; operators and billing admins what their
role shows them anyway, once they have shown their second factor, and never a prompt of others."""

import re
from collections.abc import Iterator
from uuid import UUID

from django.urls import reverse

from accounts.models import StaffRole
from billing.models import Decision
from console.billing import search
from console.frame import Frame
from console.palette.entries import Entry
from generation.models import Job, Kind
from generation.pages.addresses import JobAddress

RECENT = 6
READ_BACK = 500  # prompts are looked through among so many of the newest jobs
SHOWN = 8
LABEL = 80  # characters of a prompt
LEAST_TEXT = 3


def recent(frame: Frame) -> list[Entry]:
    """The newest work of the organization; one query."""
    return [_own(job) for job in _jobs(frame)[:RECENT]] if _reads(frame) else []


def found(frame: Frame, roles: frozenset[str], text: str) -> list[Entry]:
    """What carries this id, or has these words in its prompt; seven queries at most."""
    wanted = text.strip()
    if re.fullmatch(JobAddress.regex, wanted):
        return list(_by_id(frame, roles, wanted, JobAddress().to_python(wanted)))
    hits = _payments_and_keys(roles, wanted)
    if _reads(frame) and len(wanted) >= LEAST_TEXT:
        newest = _jobs(frame).values("pk")[:READ_BACK]
        hits += [_own(job) for job in _jobs(frame).filter(pk__in=newest, prompt__icontains=wanted)[:SHOWN]]
    return hits


def _by_id(frame: Frame, roles: frozenset[str], wanted: str, identity: UUID) -> Iterator[Entry]:
    if _reads(frame):
        yield from map(_own, _jobs(frame).filter(pk=identity))
        organization = frame.caller.organization
        for decision in Decision.objects.filter(organization=organization, pk=identity):
            yield Entry(f"Decision {decision.pk}", "scales", reverse("decision", args=[decision.pk]))
    if StaffRole.Role.OPERATOR in roles:
        for job in Job.objects.filter(pk=identity).select_related("organization"):
            href = reverse("operate_job", args=[job.public_id])
            yield Entry(job.public_id, "list", href, hint=f"{job.organization.name} · Operate")
    yield from _payments_and_keys(roles, wanted)


def _payments_and_keys(roles: frozenset[str], wanted: str) -> list[Entry]:
    """What a billing admin finds by an id: work, decisions, payments, keys."""
    if StaffRole.Role.BILLING_ADMIN not in roles:
        return []
    return [
        Entry(f"{hit.what} {hit.id}", "receipt", hit.href, hint=f"{hit.organization.name} · Billing")
        for hit in search.by_id(wanted)
    ]


def _jobs(frame: Frame):
    jobs = Job.objects.filter(organization=frame.caller.organization, deleted_at=None)
    return jobs.only("pk", "kind", "prompt", "state", "spec", "created_at").order_by("-created_at")


def _own(job: Job) -> Entry:
    clip = job.kind == Kind.CLIP
    first = " ".join(job.prompt.split())
    label = first if len(first) <= LABEL else f"{first[:LABEL].rstrip()}…"
    page = "job" if clip else "code_answer"
    icon, hint = ("film" if clip else "brackets"), job.get_state_display()
    return Entry(label or job.public_id, icon, reverse(page, args=[job.public_id]), hint, job.public_id)


def _reads(frame: Frame) -> bool:
    return frame.caller is not None and "read" in frame.caller.scopes
