"""Taking a delivered clip back: at once for every link, its charge refunded once, its file quarantined or deleted.

The rows change in one transaction, and from then on nobody gets the file: every use of a link reads them. Files move
after the commit; upkeep repeats that until it is done. Lock order: review item → wallet → jobs.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit, operations, outbox
from accounts.audit import name_of
from accounts.errors import ApiError
from accounts.models import OperationalEvent, User
from billing import books, corrections
from billing.models import Charge
from generation import delivery, streams
from generation.afterwards import cdn, quarantine_files
from generation.models import Asset, Job, State, Withdrawal, WithdrawalPolicy
from safety import incidents
from safety.models import ReviewItem
from safety.review import queue as review

logger = logging.getLogger(__name__)

CAUSE = "withdrawn after a safety review"
MESSAGE = "This clip was withdrawn from delivery after a safety review."
TELL_AGAIN = timedelta(minutes=10)
Disposal = Withdrawal.Disposal


def withdraw(
    job: Job,
    *,
    by: User | str,
    reason: str,
    disposal: str = Disposal.QUARANTINE,
    final: bool = False,
    audited: bool = False,
) -> Withdrawal | None:
    """Take a clip back with all its exact repeats; None where it is not delivered (any more).

    `final` says that there is no way back, `audited` that the caller writes the audit entry itself. In the caller's
    transaction or one of its own.
    """
    with transaction.atomic():
        original_id = job.repeat_of_id or job.pk
        item = review.waiting(str(original_id))
        books.open_books(job.organization_id)
        family = Job.objects.select_for_update().filter(Q(pk=original_id) | Q(repeat_of=original_id))
        delivered = [one for one in family.order_by("pk") if one.state == State.DELIVERED]
        standing = None
        for one in sorted(
            delivered, key=lambda one: one.pk != original_id
        ):  # the original before its repeats
            made = _withdraw_one(one, standing, by, reason, disposal, final)
            standing = standing or made
        if standing is None:
            return None
        if not audited:
            _record(standing, by, reason)
        if item is not None:
            review.close(item, ReviewItem.State.RETURNED, confirmed=True)
        incidents.note_on_subject(str(original_id), by, f"Withdrawn: {reason}", what="withdrawn")
        made_now = [one.pk for one in delivered]
        transaction.on_commit(lambda: _afterwards(standing.pk, made_now))
    return standing


def _withdraw_one(
    job: Job, of: Withdrawal | None, by: User | str, reason: str, disposal: str, final: bool
) -> Withdrawal:
    files = Asset.objects.filter(job=job, removed_at=None).order_by("pk")
    standing = Withdrawal.objects.create(
        job=job,
        of=of,
        disposal=disposal,
        final=final,
        by=by if isinstance(by, User) else None,
        by_name=name_of(by),
        reason=reason.strip(),
        files=[
            {"role": one.role, "path": one.path, "sha256": one.digest, "bytes": one.bytes} for one in files
        ],
        refund_micro=_refund(job, by),
    )
    values = {"error_code": "content_withdrawn", "error_message": MESSAGE}
    # Its owner reads the cause: the reason of staff stays with the withdrawal.
    Job.objects.filter(pk=job.pk).update(state=State.WITHDRAWN, state_cause=CAUSE, **values)
    payload = {"id": job.public_id, "state": State.WITHDRAWN, "job": str(job.pk)}
    key = f"{job.pk}:withdrawn:{standing.pk}"
    outbox.emit("video.failed", key, payload, organization_id=job.organization_id)
    return standing


def _record(standing: Withdrawal, by: User | str, reason: str) -> None:
    """Without the organization: its members read the entries that name it, and this reason is for staff."""
    audit.record(
        actor=by,
        action="clip.withdraw",
        target=f"job:{standing.job_id}",
        reason=reason,
        before={"state": State.DELIVERED},
        after={
            "state": State.WITHDRAWN,
            "withdrawal": standing.pk,
            "refund_micro": standing.refund_micro,
            "final": standing.final,
        },
    )


def _refund(job: Job, by: User | str) -> int:
    """Give back the policy's share of the charge, once however often the clip is withdrawn; micro-credits."""
    charge = Charge.objects.filter(usage_event__hold=job.hold_id).first()
    if charge is None or Withdrawal.objects.filter(job=job, refund_micro__gt=0).exists():
        return 0
    wanted = charge.amount * WithdrawalPolicy.objects.get(pk=1).refund_percent // 100
    amount = min(wanted, charge.amount - corrections.refunded_micro(charge))
    if amount <= 0:
        return 0
    corrections.refund_charge(
        charge.pk,
        amount,
        idempotency_key=f"withdrawal:{job.pk}",
        reason=f"{job.public_id} was {CAUSE}",
        actor=by if isinstance(by, User) else None,
        at=timezone.now(),
    )
    return amount


def _afterwards(withdrawal_id: int, jobs: list) -> None:
    """Files and watchers, after the commit; what fails here is repeated by upkeep."""
    settle(withdrawal_id)
    for job_id in jobs:
        streams.announce(job_id, "state", {"state": State.WITHDRAWN})


def settle_pending(limit: int = 20) -> int:
    """Move the files of withdrawals whose process ended too early, or whose storage was away; how many are done."""
    waiting = Withdrawal.objects.filter(settled_at=None, of=None).order_by("at").values_list("pk", flat=True)
    return sum(settle(pk) for pk in waiting[:limit])


def settle(withdrawal_id: int) -> bool:
    """Move (or delete) a withdrawal's files and purge its links; True where that is done now."""
    try:
        with transaction.atomic():
            rows = Withdrawal.objects.select_for_update(of=("self",), skip_locked=True).select_related("job")
            standing = rows.filter(pk=withdrawal_id, settled_at=None, restored_at=None).first()
            if standing is None:
                return False
            _dispose(standing)
            same = Q(pk=standing.pk) | Q(of=standing)
            Withdrawal.objects.filter(same, settled_at=None).update(settled_at=Now())
    except OSError as problem:
        _tell(withdrawal_id, problem)
        return False
    return True


def _dispose(standing: Withdrawal) -> None:
    """Files out of delivery's storage; previews are deleted in either case."""
    job = standing.job
    if standing.disposal == Disposal.DELETE:
        Asset.objects.filter(job=job, removed_at=None).update(removed_at=Now())
        delivery.purge(job)
    else:
        for file in standing.files:
            quarantine_files.move_in(file["path"], file["sha256"])
        delivery.purge(job)
    addresses = [file["path"] for file in standing.files] + [f"/v1/videos/{job.public_id}/content"]
    cdn.purge(addresses, f"withdrawal:{standing.pk}")


def restore(withdrawal_id: int, actor: User, reason: str) -> Withdrawal:
    """Deliver a quarantined clip again, with its repeats, by a second person. What was refunded stays refunded.

    Raises `ApiError`: not_found, already_decided, invalid_value (deleted, final), insufficient_scope (the same
    person), not_ready where the file is not whole any more.
    """
    with transaction.atomic():
        rows = Withdrawal.objects.select_for_update(of=("self",)).select_related("job")
        standing = rows.filter(pk=withdrawal_id, of=None).first()
        _check_restorable(standing, actor)
        _bring_back(standing)
        family = [standing, *standing.repeats.select_related("job").order_by("pk")]
        for one in family:
            Withdrawal.objects.filter(pk=one.pk).update(
                restored_by=actor, restored_at=Now(), restore_reason=reason.strip()
            )
            Asset.objects.filter(job=one.job_id).update(withheld_at=None)
            Job.objects.filter(pk=one.job_id, state=State.WITHDRAWN).update(
                state=State.DELIVERED,
                state_cause="restored after another look",
                error_code="",
                error_message="",
            )
            payload = {"id": one.job.public_id, "state": State.DELIVERED, "job": str(one.job_id)}
            key = f"{one.job_id}:restored:{one.pk}"
            outbox.emit("video.completed", key, payload, organization_id=one.job.organization_id)
        incidents.note_on_subject(str(standing.job_id), actor, f"Restored: {reason}", what="restored")
        transaction.on_commit(lambda: _forget(standing))
    standing.refresh_from_db()
    return standing


def _check_restorable(standing: Withdrawal | None, actor: User) -> None:
    if standing is None:
        raise ApiError("not_found", "There is no such withdrawal.")
    if standing.restored_at is not None:
        raise ApiError("already_decided", "This clip was restored already.")
    if standing.final:
        raise ApiError("invalid_value", "The gates block this clip for child safety: there is no way back.")
    if standing.disposal == Disposal.DELETE:
        raise ApiError("invalid_value", "The file was deleted: there is nothing to restore.")
    if standing.by_id == actor.pk:
        raise ApiError("insufficient_scope", "You withdrew it yourself: a second person has to restore it.")


def _bring_back(standing: Withdrawal) -> None:
    try:
        for file in standing.files:
            quarantine_files.copy_back(file["path"], file["sha256"])
    except OSError as problem:
        raise ApiError("not_ready", f"The file can't be brought back: {problem}.") from problem


def _forget(standing: Withdrawal) -> None:
    """The copies in quarantine of what is delivered again."""
    for file in standing.files:
        quarantine_files.forget(file["path"])
    streams.announce(standing.job_id, "state", {"state": State.DELIVERED})


def _tell(withdrawal_id: int, problem: OSError) -> None:
    """An alarm, and not the same one with every round of upkeep."""
    logger.warning("files of a withdrawal stay", extra={"withdrawal": withdrawal_id, "error": str(problem)})
    subject = f"withdrawal:{withdrawal_id}"
    told = OperationalEvent.objects.filter(kind="withdrawal.not_settled", subject=subject)
    if not told.filter(at__gt=Now() - TELL_AGAIN).exists():
        operations.report("withdrawal.not_settled", "error", subject, {"error": str(problem)})
