"""The finished clip that another is made from: which may be one, and why another may not."""

from dataclasses import dataclass

from accounts.errors import ApiError
from generation import delivery
from generation.lineage.records import Relation
from generation.models import Job, State

DONE_TO_IT = {Relation.REMIX: "remixed", Relation.EXTENSION: "extended"}


@dataclass(frozen=True)
class Parent:
    """A clip, and how another is made from it. Its text tells requests apart that came with the same key."""

    job: Job
    relation: Relation

    def __str__(self) -> str:
        return f"{self.relation} of {self.job.pk}"

    def require_now(self) -> None:
        """As `require`, by what the row says now."""
        require(Job.objects.select_related("repeat_of").get(pk=self.job.pk), self.relation)


def require(job: Job, relation: Relation) -> None:
    """Refuse what is no finished clip that may still be used. For an extension its file must be deliverable.

    Raises ApiError: not_found, not_ready, content_withdrawn, content_expired, invalid_value.
    """
    if job.deleted_at is not None:
        raise ApiError("not_found", f"{job.public_id} was deleted. Nothing was queued or charged.")
    if job.state == State.WITHDRAWN:
        raise delivery.withdrawn(job)
    if job.is_open:
        message = (
            f"{job.public_id} is {job.state}; it can be {DONE_TO_IT[relation]} when its status is completed."
        )
        raise ApiError("not_ready", f"{message} Nothing was queued or charged.")
    if job.state != State.DELIVERED:
        message = f"{job.public_id} ended as {job.error_code or job.state}: only a completed clip can be"
        raise ApiError("invalid_value", f"{message} {DONE_TO_IT[relation]}. Nothing was queued or charged.")
    if relation == Relation.EXTENSION:
        delivery.clip_file(job)
