"""Clips that are made, scanned and checked, and wait because the signer does not answer.

Upkeep drains them by itself, oldest first: one try, and after a refusal a rest that doubles up to half a minute. What
could not be signed within 15 minutes fails (upkeep.expire_held), by the database's clock, with nothing charged.
"""

import logging
import time
from datetime import timedelta
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import operations
from generation import finalization, streams
from generation.credentials import signing
from generation.finalization import ChangedMeanwhile, Ran
from generation.models import Attempt, Job, SigningOutage, State, UnsignedClip
from generation.scheduling.leases import Lease
from safety.credentials.provenance import NotScanned, SigningUnavailable

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 20
MOST_SECONDS = 3.0  # of one round, every two: leases are returned by the same process
FIRST_REST, LONGEST_REST = timedelta(seconds=2), timedelta(seconds=30)
DRAIN_LOCK = (
    0x4261636B  # one process drains at a time; the lock ends with its transaction, or with the process
)
# Its attempt may still be about to hold it: a file this young is nobody's leftover.
YOUNG = timedelta(minutes=5)


class _Outcome(Enum):
    DELIVERED = "delivered"
    DOWN = "down"  # the signer refused
    GONE = "gone"  # somebody else ended it meanwhile
    BUSY = "busy"  # another process drains
    UNUSABLE = "unusable"  # the job was given up: its file is not what was scanned


def hold(lease: Lease, ran: Ran, problem: str) -> Job:
    """Signing failed: the clip waits, under the fence it was scanned with. The outage begins, if it hasn't yet."""
    with transaction.atomic():
        job = finalization.hold_for_signing(lease, ran, problem)
        _note_refusal(problem, tried=False)
        return job


def drain(limit: int = MOST_AT_ONCE, seconds: float = MOST_SECONDS) -> int:
    """Sign and deliver what waits, oldest first; how many were delivered. Stops at the first refusal of the signer."""
    until = time.monotonic() + seconds
    waiting = list(
        Job.objects.filter(state=State.HELD).order_by("state_at", "pk").values_list("pk", flat=True)[:limit]
    )
    outage = SigningOutage.objects.filter(ended_at=None).first()
    if not waiting:
        if outage is not None:
            _end_outage("nothing waits for it any more")
        return 0
    if SigningOutage.objects.filter(ended_at=None, next_try_at__gt=Now()).exists():
        return 0
    delivered = 0
    for job_id in waiting:
        outcome = _one(job_id)
        delivered += outcome is _Outcome.DELIVERED
        if outcome in (_Outcome.DOWN, _Outcome.BUSY) or time.monotonic() > until:
            break
    return delivered


def retry_now() -> bool:
    """Let the next round try at once; False where no outage is open."""
    return bool(SigningOutage.objects.filter(ended_at=None).update(next_try_at=Now()))


def clear_leftovers(limit: int = 100) -> int:
    """Delete files that nobody waits for any more: of jobs that have ended, or of attempts that were lost."""
    kept = UnsignedClip.objects.filter(removed_at=None, kept_at__lt=Now() - YOUNG).select_related("job")
    waits = kept.filter(job__state__in=(State.HELD, State.REVIEW), job__fence=F("fence"))
    live = Attempt.objects.filter(ended_at=None).values("fence")
    over = kept.exclude(pk__in=waits.values("pk")).exclude(fence__in=live).order_by("kept_at")[:limit]
    for clip in over:
        signing.remove_unsigned(clip.job, clip.fence)
    return len(over)


def _one(job_id: UUID) -> _Outcome:
    """One clip, in one transaction. A process that is killed in it leaves everything as it was, but for a file that
    the next try writes over."""
    with transaction.atomic():
        if not _alone():
            return _Outcome.BUSY
        job = Job.objects.select_related("model", "lane").filter(pk=job_id, state=State.HELD).first()
        if job is None:
            return _Outcome.GONE
        try:
            _deliver(job)
        except SigningUnavailable as problem:
            logger.warning("signing is still unavailable", extra={"error": str(problem)})
            _note_refusal(str(problem), tried=True)
            return _Outcome.DOWN
        except ChangedMeanwhile:
            return _Outcome.GONE
        except (NotScanned, FileNotFoundError) as problem:
            _give_up(job, problem)
            return _Outcome.UNUSABLE
        SigningOutage.objects.filter(ended_at=None).update(delivered=F("delivered") + 1, next_try_at=Now())
    signing.remove_unsigned(job, job.fence)
    streams.announce(job.pk, "state", {"state": State.DELIVERED})
    return _Outcome.DELIVERED


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [DRAIN_LOCK])
        return cursor.fetchone()[0]


def _deliver(job: Job) -> None:
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.WORK_ROOT) as folder:
        unsigned = Path(folder) / "clip.mp4"
        with default_storage.open(signing.unsigned_name(job, job.fence), "rb") as file:
            unsigned.write_bytes(file.read())
        signed = signing.sign_all(job, job.fence, unsigned, Path(folder))
        clip, *pictures = signing.stored_all(job, job.fence, signed)
    finalization.deliver_held(job, clip, pictures=pictures)


def _give_up(job: Job, problem: Exception) -> None:
    """Waiting longer won't help: its file is missing or is another one than was scanned."""
    detail = {"error": f"{type(problem).__name__}: {problem}"[:500], "fence": job.fence}
    operations.report("held.unusable", "critical", f"job:{job.pk}", detail)
    finalization.give_up(job, State.FAILED, "internal_error", "its finished file could not be signed")


def _note_refusal(problem: str, *, tried: bool) -> None:
    """The outage, opened with an alarm row where it is new; a refused try doubles the rest before the next."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO generation_signingoutage (last_error, tries, delivered) VALUES (%s, 0, 0)"
            " ON CONFLICT DO NOTHING",
            [problem[:2000]],
        )
        opened = cursor.rowcount == 1
    if opened:
        operations.report("signing.down", "critical", "signer:active", {"error": problem[:500]})
    if tried or opened:
        outage = SigningOutage.objects.select_for_update().get(ended_at=None)
        rest = min(FIRST_REST * 2 ** min(outage.tries, 10), LONGEST_REST)
        SigningOutage.objects.filter(pk=outage.pk).update(
            tries=outage.tries + 1, next_try_at=Now() + rest, last_error=problem[:2000]
        )


def _end_outage(why: str) -> None:
    with transaction.atomic():
        outage = SigningOutage.objects.select_for_update().filter(ended_at=None).first()
        if outage is None:
            return
        SigningOutage.objects.filter(pk=outage.pk).update(ended_at=Now())
        detail = {"why": why, "since": outage.began_at.isoformat(), "delivered": outage.delivered}
        operations.report("signing.restored", "info", "signer:active", detail)
