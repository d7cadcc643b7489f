"""What pages read about an organization's jobs: one with all that happened to it, the newest, and pages of them.

Read-only. Every function says how many queries it takes, whatever the number of jobs.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from accounts.errors import ApiError
from billing.models import Charge
from generation import delivery
from generation.models import OPEN_STATES, Asset, Attempt, FileRemoval, Job, JobEvent, State
from safety.models import Credential, Scan

# What the filter on the history page means by a state.
STATE_GROUPS: dict[str, tuple[str, ...]] = {
    "open": tuple(OPEN_STATES),
    "delivered": (State.DELIVERED,),
    "stopped": (State.CANCELLED, State.BLOCKED, State.FAILED, State.WITHDRAWN),
}
PAGE_SIZE = 30
MOST_CHILDREN = 12


@dataclass(frozen=True)
class Page:
    """Jobs, newest first; `older` is the id to pass as `before` for the next page, None on the last."""

    jobs: list[Job]
    older: UUID | None


@dataclass(frozen=True)
class Story:
    """Everything that is known about one job, oldest first."""

    job: Job
    attempts: list[Attempt]
    events: list[JobEvent]
    scans: list[Scan]
    credentials: list[Credential]
    charge: Charge | None
    removal: FileRemoval | None
    children: list[Job]


def visible(organization_id: int) -> QuerySet[Job]:
    """The jobs that an organization sees, with what a card shows: three queries in all."""
    return _with_parts(Job.objects.filter(organization_id=organization_id, deleted_at=None))


def _with_parts(jobs: QuerySet[Job]) -> QuerySet[Job]:
    own_files = Prefetch("assets", Asset.objects.filter(role="video", removed_at=None), to_attr="files")
    return jobs.select_related("model", "lane__tier", "created_by").prefetch_related(
        Prefetch("attempts", Attempt.objects.order_by("fence"), to_attr="turns"),
        own_files,
        # Two more queries where a repeat is among them, which delivers the file of another job.
        Prefetch("repeat_of", Job.objects.prefetch_related(own_files)),
    )


def files_of(job: Job) -> list[Asset]:
    """What a job from here delivers: its own file, or that of the clip it repeats; none once its time is over."""
    if delivery.is_over(job):
        return []
    return job.repeat_of.files if job.repeat_of_id else job.files


def find(organization_id: int, job_id: UUID, kind: str | None = None) -> Job:
    """One job of the organization. Raises `ApiError` not_found for any other, whoever it belongs to."""
    job = visible(organization_id).filter(pk=job_id, **({"kind": kind} if kind else {})).first()
    if job is None:
        raise ApiError("not_found", "There is no such job in this organization. It may have been deleted.")
    return job


def newest(organization_id: int, user_id: int, kind: str, limit: int) -> list[Job]:
    """A person's newest jobs of one kind in an organization; three queries."""
    mine = visible(organization_id).filter(created_by_id=user_id, kind=kind)
    return list(mine.order_by("-created_at")[:limit])


def those(organization_id: int, job_ids: list[UUID]) -> list[Job]:
    """The given jobs of an organization, newest first; three queries."""
    return list(visible(organization_id).filter(pk__in=job_ids).order_by("-created_at"))


def page(organization_id: int, *, kind: str = "", state: str = "", before: UUID | None = None) -> Page:
    """A page of the organization's jobs, filtered by kind and by a name of STATE_GROUPS; four queries at most."""
    jobs = visible(organization_id)
    if kind:
        jobs = jobs.filter(kind=kind)
    if state:
        jobs = jobs.filter(state__in=STATE_GROUPS[state])
    if before is not None:
        last_seen = Job.objects.filter(pk=before, organization_id=organization_id).values("created_at")
        jobs = jobs.filter(created_at__lt=last_seen[:1])
    found = list(jobs.order_by("-created_at")[: PAGE_SIZE + 1])
    return Page(found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None)


def credential_states(jobs: list[Job]) -> dict[UUID, str]:
    """Job → how the credentials of its delivered file verified; one query for all."""
    digests = {asset.digest for job in jobs for asset in files_of(job)}
    if not digests:
        return {}
    found = Credential.objects.filter(signed_digest__in=digests).values_list("signed_digest", "state")
    states = dict(found)
    return {job.pk: states[asset.digest] for job in jobs for asset in files_of(job) if asset.digest in states}


def story(job: Job) -> Story:
    """All that happened to a job; seven queries beside those of `find`."""
    subject = str(job.repeat_of_id or job.pk)  # a repeat's file was scanned and signed as the original's
    charges = Charge.objects.filter(usage_event__hold=job.hold_id).select_related(
        "usage_event", "price_version"
    )
    return Story(
        job=job,
        attempts=list(job.attempts.select_related("worker").order_by("fence")),
        events=list(job.events.order_by("at", "id")),
        scans=list(Scan.objects.filter(subject=subject).order_by("started_at")),
        # Of the clip; its pictures were signed beside it.
        credentials=list(
            Credential.objects.filter(subject=subject, scanned_digest=None).order_by("verified_at")
        ),
        charge=charges.first(),
        removal=FileRemoval.objects.filter(job=job.repeat_of_id or job.pk).first(),
        children=list(Job.objects.filter(parent=job, deleted_at=None).order_by("created_at")[:MOST_CHILDREN]),
    )


def for_operators(*, states: tuple[str, ...], pool: str = "", tier: str = "", limit: int) -> list[Job]:
    """Jobs of all organizations for operators: open ones oldest first, ended ones newest first; two queries."""
    jobs = _with_turns(Job.objects.filter(state__in=states))
    if pool:
        jobs = jobs.filter(lane__pool=pool)
    if tier:
        jobs = jobs.filter(lane__tier=tier)
    oldest_first = set(states) <= set(OPEN_STATES)
    return list(jobs.order_by("queued_at" if oldest_first else "-created_at")[:limit])


def those_for_operators(job_ids: list[UUID]) -> dict[UUID, Job]:
    """The given jobs, whoever owns them; two queries."""
    return {job.pk: job for job in _with_turns(Job.objects.filter(pk__in=job_ids))}


def _with_turns(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """What a line of the operators' table shows."""
    live = Attempt.objects.filter(ended_at=None).select_related("worker")
    return jobs.select_related("organization", "lane", "model").prefetch_related(
        Prefetch("attempts", live, to_attr="live_turns")
    )


def find_for_operators(job_id: UUID) -> Job:
    """Any job, also a deleted one. Raises `ApiError` not_found."""
    job = _with_parts(Job.objects.filter(pk=job_id)).select_related("organization").first()
    if job is None:
        raise ApiError("not_found", "There is no such job.")
    return job
