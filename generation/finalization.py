"""How a job ends or changes hands: one transaction each, under the fence of the attempt that asks for it.

Lock order, here and everywhere: attempt → wallet (inside the settlement) → job → lane_organization (by the trigger).
Admission takes wallet → job → lane_organization; a claim takes pool → job (SKIP LOCKED) → lane_organization and never
waits for a wallet. So no two of them can wait for each other.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max, Sum
from django.db.models.functions import Now
from django.utils import timezone

from accounts import operations, outbox
from billing import settlement
from billing.models import Charge
from generation import late_clips
from generation.afterwards import block_incidents
from generation.models import Asset, Attempt, Job, Kind, State
from generation.policy import cost
from generation.retention import expiry
from generation.scheduling import tickets
from generation.scheduling.leases import Lease

logger = logging.getLogger(__name__)

MOST_FAILED_ATTEMPTS = 3


@dataclass(frozen=True)
class Ran:
    """What an attempt did: for the record, the schedule's correction, and the charge."""

    gpu_ms: int = 0
    steps: int = 0
    checkpoints: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    stages: dict[str, float] | None = None
    trace: list[tuple[str, int, int]] | None = None
    device: str = ""
    precision: str = ""
    peak_memory_bytes: int = 0
    checkpoint_bytes: int = 0
    file_bytes: int = 0
    saved_gpu_ms: int = 0  # by an early look that ended it


@dataclass(frozen=True)
class SignedFile:
    """A file in storage, as it was signed."""

    path: str
    media_type: str
    bytes: int
    digest: str
    role: str = "video"


def begin_finishing(lease: Lease, ran: Ran) -> None:
    """All steps ran: from here on the latent is whole, and a lost worker costs no step."""
    with transaction.atomic():
        attempt, job = lease.locked()
        # Known from now on, should the worker be lost: its time from here to its last word is not the device's.
        Attempt.objects.filter(pk=attempt.pk).update(**_of_attempt(attempt, ran))
        if job.state == State.RUNNING:
            _move(job, State.FINISHING, "every step ran", steps_run=ran.steps, checkpoints=ran.checkpoints)


def deliver_clip(lease: Lease, file: SignedFile, ran: Ran, pictures: Sequence[SignedFile] = ()) -> Job:
    """Scanned, signed, verified: hand it over and charge. The database refuses it where one of them is missing.

    `pictures` are its thumbnail and its sprite sheet, signed as it is.
    """
    with transaction.atomic():
        attempt, job = lease.locked()
        _keep_files(job, lease.fence, file, *pictures)
        charge = _settle(job, "delivered", job.units_micro, ran, "delivered")
        _end(attempt, Attempt.Outcome.DELIVERED, ran)
        return _finish(job, State.DELIVERED, "scanned, signed and verified", charge, ran)


def deliver_code(lease: Lease, ran: Ran, finish_reason: str) -> Job:
    """The answer is complete; charged for the tokens that were delivered."""
    with transaction.atomic():
        attempt, job = lease.locked()
        units = cost.token_units_micro(ran.tokens_in + ran.tokens_out)
        charge = _settle(job, "delivered", units, ran, "delivered")
        _end(attempt, Attempt.Outcome.DELIVERED, ran, detail=finish_reason)
        _move(job, State.FINISHING, "last token sent")
        return _finish(job, State.DELIVERED, "complete", charge, ran, finish_reason=finish_reason)


def deliver_repeat(job: Job) -> Job:
    """An exact repeat of a finished clip, in the transaction that admits it: no step runs, the price of a repeat is
    charged, and the file is the original's. The database refuses it where that is not deliverable (any more)."""
    with transaction.atomic():
        charge = _settle(job, "cached", job.units_micro, Ran(), "cached")
        cause = f"an exact repeat; served from {job.repeat_of.public_id}"
        return _finish(job, State.DELIVERED, cause, charge, None)


def cancel_running(lease: Lease, ran: Ran) -> Job:
    """Its owner stopped it: charged for the steps that ran or the tokens that were delivered."""
    with transaction.atomic():
        attempt, job = lease.locked()
        charge = _settle(job, "cancelled", units_of(job, ran), ran, "cancelled_by_user")
        _end(attempt, Attempt.Outcome.CANCELLED, ran)
        return _finish(
            job,
            State.CANCELLED,
            "cancelled by its owner",
            charge,
            ran,
            error_code="cancelled",
            error_message="This job was cancelled. What had run until then was charged.",
        )


def cancel_waiting(job: Job, reason: str) -> Job:
    """Stopped before it ran (again): what earlier attempts ran is not charged, the hold is released."""
    with transaction.atomic():
        charge = _settle(job, "cancelled", 0, Ran(), "cancelled_before_start")
        message = "This job was cancelled before it started. Nothing was charged."
        return _finish(
            job, State.CANCELLED, reason, charge, None, error_code="cancelled", error_message=message
        )


def block(lease: Lease, ran: Ran, cause: str, category: str, answer: dict | None = None) -> Job:
    """A gate said no, or the text filter of an `answer`, whose verdict is kept: what it refused wasn't sent, and
    nothing is charged."""
    with transaction.atomic():
        attempt, job = lease.locked()
        charge = _settle(job, "blocked", 0, ran, "blocked_by_safety")
        _end(attempt, Attempt.Outcome.BLOCKED, ran, detail=cause)
        kind, what = (
            ("textfilter.block", "answer was") if answer else ("postfilter.block", "finished frames were")
        )
        detail = {"category": category, "cause": cause, "saved_gpu_ms": ran.saved_gpu_ms}
        operations.report(kind, "warning", f"job:{job.pk}", detail)
        block_incidents.of_block(job, category)
        return _finish(
            job,
            State.BLOCKED,
            cause,
            charge,
            ran,
            screening={**job.screening, "output": answer} if answer else job.screening,
            error_code="moderation_blocked",
            error_message=f"The {what} refused ({category}). Nothing was charged.",
        )


def send_to_review(lease: Lease, ran: Ran, cause: str) -> Job:
    """A person decides; the hold stays, the service-level clock stops."""
    with transaction.atomic():
        attempt, job = lease.locked()
        _end(attempt, Attempt.Outcome.REVIEW, ran, detail=cause)
        return _move(job, State.REVIEW, cause, **_of_job(job, ran))


def hold_for_signing(lease: Lease, ran: Ran, cause: str) -> Job:
    """Signing is down: the scanned file waits, unsigned and undelivered, until it works again."""
    with transaction.atomic():
        attempt, job = lease.locked()
        _end(attempt, Attempt.Outcome.HANDED_BACK, ran, detail=cause)
        operations.report("signing.unavailable", "error", f"job:{job.pk}", {"cause": cause})
        return _move(job, State.HELD, "signing is not available", **_of_job(job, ran))


def deliver_held(
    job: Job,
    file: SignedFile,
    cause: str = "signed after waiting",
    pictures: Sequence[SignedFile] = (),
) -> Job:
    """Deliver what waited for the signer, or for a person, under the fence that it was scanned with."""
    with transaction.atomic():
        _keep_files(job, job.fence, file, *pictures)
        charge = _settle(job, "delivered", job.units_micro, Ran(steps=job.steps_run), "delivered")
        whole = job.file_bytes + sum(one.bytes for one in (file, *pictures))
        return _finish(job, State.DELIVERED, cause, charge, None, file_bytes=whole)


def refuse_reviewed(job: Job, category: str) -> Job:
    """A person said no: nothing is delivered and nothing is charged."""
    with transaction.atomic():
        charge = _settle(job, "blocked", 0, Ran(), "blocked_by_safety")
        return _finish(
            job,
            State.BLOCKED,
            "a person refused it",
            charge,
            None,
            error_code="moderation_blocked",
            error_message=f"The finished frames were refused ({category}) by a person. Nothing was charged.",
        )


def give_up(job: Job, state: str, code: str, why: str) -> Job:
    """End a job that no attempt holds and that waited too long for a person or a signer: nothing is charged."""
    outcome = "blocked" if state == State.BLOCKED else "failed"
    with transaction.atomic():
        charge = _settle(job, outcome, 0, Ran(), f"timed_out:{job.state}")
        message = f"This job was ended because {why}. Nothing was charged."
        return _finish(job, state, why, charge, None, error_code=code, error_message=message)


def queue_screened(job: Job) -> Job:
    """The picture that its clip begins from has passed the gates: it waits for a worker as any other."""
    with transaction.atomic():
        moved = _move(job, State.QUEUED, "its picture passed the gates")
        tickets.send_after_commit(job.lane.pool_id)
        return moved


def refuse_picture(job: Job, category: str, cause: str) -> Job:
    """A gate said no to the picture that a clip was to begin from: nothing ran, nothing is charged."""
    with transaction.atomic():
        charge = _settle(job, "blocked", 0, Ran(), "blocked_by_safety")
        operations.report(
            "screening.block", "warning", f"job:{job.pk}", {"category": category, "cause": cause}
        )
        block_incidents.of_block(job, category)
        message = f"The picture was refused ({category}). Nothing was charged."
        values = {"error_code": "moderation_blocked", "error_message": message}
        return _finish(job, State.BLOCKED, cause, charge, None, **values)


def fail_screening(job: Job, why: str, detail: str = "") -> Job:
    """Nobody could check the picture that a clip was to begin from: nothing ran, nothing is charged."""
    with transaction.atomic():
        charge = _settle(job, "failed", 0, Ran(), "system_failed:screening")
        operations.report("screening.failed", "error", f"job:{job.pk}", {"message": why, "detail": detail})
        values = {
            "error_code": "internal_error",
            "error_message": f"It failed because {why}. Nothing was charged.",
        }
        return _finish(job, State.FAILED, why, charge, None, **values)


def fail(lease: Lease, ran: Ran, code: str, message: str) -> Job:
    """The system could not do it and trying again would not help: nothing is charged."""
    with transaction.atomic():
        attempt, job = lease.locked()
        return _failed(attempt, job, ran, code, message)


def hand_back(lease: Lease, ran: Ran, cause: str) -> Job:
    """Drain or preempt: the job keeps its progress and its place at the head of its lane.

    One that was finishing stays so: the next claim adopts it, its checkpoint holds the whole latent.
    """
    with transaction.atomic():
        attempt, job = lease.locked()
        _end(attempt, Attempt.Outcome.HANDED_BACK, ran, detail=cause)
        return _to_another(job, cause)


def attempt_failed(lease: Lease, ran: Ran, detail: str) -> Job:
    """An attempt broke. The job goes back to the head of its lane, or is parked after its third failure."""
    with transaction.atomic():
        attempt, job = lease.locked()
        return failed_or_requeued(attempt, job, ran, detail, Attempt.Outcome.FAILED)


def failed_or_requeued(attempt: Attempt, job: Job, ran: Ran, detail: str, outcome: str) -> Job:
    """Inside the caller's transaction, with the attempt locked: count the failure and decide."""
    job.attempts_failed += 1
    if job.attempts_failed >= MOST_FAILED_ATTEMPTS:
        return _failed(
            attempt, job, ran, "internal_error", "The job failed three times and was given up.", detail
        )
    _end(attempt, outcome, ran, detail=detail)
    operations.report(
        "attempt." + outcome, "warning", f"job:{job.pk}", {"detail": detail, "fence": attempt.fence}
    )
    Job.objects.filter(pk=job.pk).update(attempts_failed=job.attempts_failed)
    return _to_another(job, detail)


def units_of(job: Job, ran: Ran) -> int:
    """Micro-units of what ran of a job that its owner stopped."""
    if job.kind == Kind.CLIP:
        return cost.clip_units_run_micro(job.units_micro, job.steps, ran.steps)
    return cost.token_units_micro(ran.tokens_in + ran.tokens_out) if ran.tokens_out else 0


def _failed(attempt: Attempt, job: Job, ran: Ran, code: str, message: str, detail: str = "") -> Job:
    charge = _settle(job, "failed", 0, ran, f"system_failed:{code}")
    _end(attempt, Attempt.Outcome.FAILED, ran, detail=detail or message)
    operations.report(f"job.failed.{code}", "error", f"job:{job.pk}", {"message": message, "detail": detail})
    values = {"error_code": code, "error_message": f"{message} Nothing was charged."}
    return _finish(job, State.FAILED, code, charge, ran, attempts_failed=job.attempts_failed, **values)


def _to_another(job: Job, cause: str) -> Job:
    if job.state == State.FINISHING:
        Job.objects.filter(pk=job.pk).update(ahead_of_lane=True)
    else:
        _move(job, State.QUEUED, cause[:200], ahead_of_lane=True)
    tickets.send_after_commit(job.lane.pool_id)
    return job


def _keep_files(job: Job, fence: int, *files: SignedFile) -> None:
    for file in files:
        Asset.objects.create(job=job, fence=fence, **asdict(file))


def _settle(job: Job, outcome: str, units_micro: int, ran: Ran, reason_code: str) -> Charge:
    return settlement.settle(
        job.hold_id,
        outcome=outcome,
        units_micro=units_micro,
        quantity=ran.steps if job.kind == Kind.CLIP else ran.tokens_in + ran.tokens_out,
        subject=str(job.pk),
        reason_code=reason_code[:60],
        at=timezone.now(),
    )


def _finish(job: Job, state: str, cause: str, charge: Charge, ran: Ran | None, **values: Any) -> Job:
    values |= {"charge_micro": charge.amount, "finished_at": Now()}
    if ran is not None:
        values |= {
            "steps_run": ran.steps,
            "checkpoints": ran.checkpoints,
            "tokens_in": ran.tokens_in,
            "tokens_out": ran.tokens_out,
            **_of_job(job, ran),
        }
    if state == State.DELIVERED and job.kind == Kind.CLIP:
        values |= expiry.set_with_delivery(job)
    _move(job, state, cause, **values)
    if state == State.DELIVERED and job.kind == Kind.CLIP:
        late_clips.credit(job, charge)
    name = "video" if job.kind == Kind.CLIP else "completion"
    end = "completed" if state == State.DELIVERED else "failed"
    payload = {"id": job.public_id, "state": state, "job": str(job.pk)}
    outbox.emit(f"{name}.{end}", f"{job.pk}:{state}", payload, organization_id=job.organization_id)
    return job


def _end(attempt: Attempt, outcome: str, ran: Ran, detail: str = "") -> None:
    Attempt.objects.filter(pk=attempt.pk).update(
        ended_at=Now(),
        outcome=outcome,
        detail=detail,
        **_of_attempt(attempt, ran),
    )


def _of_attempt(attempt: Attempt, ran: Ran) -> dict[str, Any]:
    """The record's columns of an attempt; what `ran` doesn't know stays as it is."""
    return {
        "gpu_ms": ran.gpu_ms,
        "stages": ran.stages or attempt.stages,
        "trace": ran.trace or attempt.trace,
        "device": ran.device or attempt.device,
        "precision": ran.precision or attempt.precision,
        "peak_memory_bytes": ran.peak_memory_bytes or attempt.peak_memory_bytes,
        "checkpoint_bytes": ran.checkpoint_bytes or attempt.checkpoint_bytes,
        "file_bytes": ran.file_bytes or attempt.file_bytes,
        "saved_gpu_ms": ran.saved_gpu_ms or attempt.saved_gpu_ms,
    }


def _of_job(job: Job, ran: Ran) -> dict[str, Any]:
    """The same of its job, once the attempt has ended: stages and device of this one, sizes over all of them."""
    over_all = job.attempts.aggregate(
        peak=Max("peak_memory_bytes"), checkpoints=Sum("checkpoint_bytes"), files=Sum("file_bytes")
    )
    return {
        "stages": ran.stages or {},
        "device": ran.device,
        "precision": ran.precision,
        "peak_memory_bytes": over_all["peak"] or 0,
        "checkpoint_bytes": over_all["checkpoints"] or 0,
        "file_bytes": over_all["files"] or 0,
    }


def _move(job: Job, state: str, cause: str, **values: Any) -> Job:
    """Change the state where it still is what was read; the trigger checks the transition and writes the event."""
    changes = {"state": state, "state_cause": cause[:200], **values}
    if not Job.objects.filter(pk=job.pk, state=job.state, fence=job.fence).update(**changes):
        raise ChangedMeanwhile(f"job {job.pk} is no longer {job.state} under fence {job.fence}")
    job.refresh_from_db()
    return job


class ChangedMeanwhile(Exception):
    """Another transaction moved the job first; the caller's was rolled back and nothing was charged twice."""
