"""A clip that the gates left to people: kept aside, decided, then delivered as any other or blocked.

A decision and what it means for the clip are one transaction. A cleared clip is signed and delivered by upkeep, from
the rows: whoever is killed in between, the next round goes on. Lock order: review item → wallet → job.
"""

import hashlib
import logging
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models.functions import Now

from accounts import operations
from accounts.models import User
from generation import finalization, streams
from generation.afterwards import quarantine_files, withdrawal
from generation.credentials import signing
from generation.credentials.variants import NoPictures
from generation.finalization import ChangedMeanwhile, Ran
from generation.models import Asset, Job, State
from generation.scheduling.leases import Lease
from safety import incidents
from safety.credentials.provenance import NotScanned, SigningUnavailable
from safety.models import Clearance, ReviewClass, ReviewItem, ReviewPolicy, Scan
from safety.review import cases as review_cases
from safety.review import queue as review

logger = logging.getLogger(__name__)

PATIENCE = timedelta(hours=24)
SIGNING_PATIENCE = timedelta(minutes=15)
Kind = ReviewItem.Kind


def kept_name(job: Job, fence: int) -> str:
    """Where the scanned, unsigned file of a clip in review lies in quarantine."""
    return f"{quarantine_files.REVIEW}/{job.pk}/{fence}/clip.mp4"


def send(lease: Lease, job: Job, ran: Ran, scan: Scan, unsigned: Path) -> Job:
    """The gates ask for a person: keep the scanned file, which no row names for delivery, and open the item."""
    with unsigned.open("rb") as file:
        quarantine_files.put(kept_name(job, lease.fence), File(file))
    with transaction.atomic():
        moved = finalization.send_to_review(lease, ran, scan.reason)
        review.open_item(
            str(moved.pk),
            scan.digest or "",
            kind=Kind.SCAN,
            review_class=asked_class(scan),
            why=scan.reason,
            fence=lease.fence,
            scan=scan,
        )
    return moved


def asked_class(scan: Scan) -> str:
    """The class that a person is asked about: of several, the one that takes the most people."""
    asked = scan.verdicts.filter(outcome=Scan.Result.REVIEW).values_list("frame_class", flat=True).distinct()
    policies = ReviewPolicy.objects.filter(pk__in=list(asked)).order_by("-people", "review_class")
    return policies.values_list("pk", flat=True).first() or ReviewClass.OTHER


def decide(item_id: int, person: User, verdict: str, reason: str, *, feed: bool = False) -> ReviewItem:
    """A person's decision with all that follows from it for the clip, or none of it. Raises as `review.decide`.

    `feed` adds the prompt to the golden (passed) or adversarial (refused) set, once the item has ended.
    """
    with transaction.atomic():
        item = review.decide(item_id, person, verdict, reason)
        if item.state == ReviewItem.State.PASSED:
            _passed(item)
        elif item.state == ReviewItem.State.REFUSED:
            _refused(item, person, reason)
        if feed and item.closed_at is not None:
            review_cases.feed(item, _prompt_of(item), person, reason)
    return item


def _passed(item: ReviewItem) -> None:
    """A clip that was delivered before is no longer withheld; one that waits is delivered by `deliver_cleared`."""
    if item.kind != Kind.SCAN:
        lift([item.subject])


def _refused(item: ReviewItem, person: User, reason: str) -> None:
    job = Job.objects.select_related("model", "lane__tier").get(pk=item.subject)
    if item.kind == Kind.SCAN:
        finalization.refuse_reviewed(job, item.review_class)
        transaction.on_commit(lambda: _forget(job))
    else:
        withdrawal.withdraw(job, by=person, reason=reason)
        lift([item.subject])
    reported = item.reports.exists()
    if reported or item.review_class == ReviewClass.CHILD_SAFETY or item.kind == Kind.RESCAN:
        _open_incident(item, person, reason, reported=reported)


def _open_incident(item: ReviewItem, person: User, reason: str, *, reported: bool) -> None:
    kind = incidents.Kind.REPORT if reported else incidents.Kind.RESCAN
    if item.review_class == ReviewClass.CHILD_SAFETY:
        kind = incidents.Kind.CHILD_SAFETY
    evidence = incidents.of_scan(item.scan) if item.scan else {"sha256": item.digest}
    incidents.open_incident(
        kind,
        f"review:{item.pk}",
        f"{item.get_review_class_display()}, confirmed in review",
        subject=item.subject,
        evidence={**evidence, "review": item.pk, "reports": item.reports.count()},
        by=person,
        text=reason,
    )


def lift(subjects: list[str]) -> None:
    """Deliver again what was withheld, except what another waiting item withholds."""
    still = ReviewItem.objects.filter(subject__in=subjects, state__in=ReviewItem.WAITING, withheld=True)
    free = set(subjects) - set(still.values_list("subject", flat=True))
    Asset.objects.filter(job__in=free, withheld_at__isnull=False).update(withheld_at=None)


def deliver_cleared(limit: int = 20) -> int:
    """Sign and deliver what people cleared, oldest first; stops at the first refusal of the signer."""
    waiting = Job.objects.filter(state=State.REVIEW).values_list("pk", flat=True)
    cleared = Clearance.objects.filter(subject__in=[str(pk) for pk in waiting]).order_by("at")
    delivered = 0
    for clearance in cleared[:limit]:
        try:
            delivered += _deliver(clearance)
        except SigningUnavailable as problem:
            logger.warning("cleared clips wait for the signer", extra={"error": str(problem)})
            break
        except ChangedMeanwhile:
            continue
        except (NotScanned, NoPictures, OSError) as problem:
            _give_up(clearance, problem)
    return delivered


def _deliver(clearance: Clearance) -> bool:
    """One clip, under the lock of its item, so that nobody delivers it beside us."""
    with transaction.atomic():
        item = ReviewItem.objects.select_for_update(skip_locked=True).filter(pk=clearance.item_id).first()
        job = Job.objects.select_related("model", "lane__tier").get(pk=clearance.subject)
        if item is None or job.state != State.REVIEW or job.fence != clearance.fence:
            return False
        _sign_and_deliver(job, clearance)
        transaction.on_commit(lambda: _forget(job))
    return True


def _sign_and_deliver(job: Job, clearance: Clearance) -> None:
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.WORK_ROOT) as folder:
        unsigned = Path(folder) / "clip.mp4"
        with quarantine_files.quarantine().open(kept_name(job, clearance.fence), "rb") as file:
            unsigned.write_bytes(file.read())
        if hashlib.sha256(unsigned.read_bytes()).hexdigest() != clearance.digest:
            raise quarantine_files.Damaged("the kept file is not the one that was cleared")
        signed = signing.sign_all(job, clearance.fence, unsigned, Path(folder))
        clip, *pictures = signing.stored_all(job, clearance.fence, signed)
        finalization.deliver_held(job, clip, "cleared by people, signed and verified", pictures)


def _give_up(clearance: Clearance, problem: Exception) -> None:
    """The file that was cleared can't be delivered, and trying again won't help: nothing is charged."""
    job = Job.objects.select_related("lane__tier").get(pk=clearance.subject)
    operations.report(
        "review.not_deliverable",
        "critical",
        f"job:{job.pk}",
        {"error": f"{type(problem).__name__}: {problem}"},
    )
    _end(job, "internal_error", "the file that was cleared is not whole any more")


def expire() -> int:
    """Block what nobody decided within a day, and what was cleared but couldn't be signed in time; how many."""
    overdue = Job.objects.filter(state=State.REVIEW, state_at__lt=Now() - PATIENCE).select_related(
        "lane__tier"
    )
    ended = 0
    for job in overdue.order_by("state_at")[:100]:
        cleared = Clearance.objects.filter(subject=str(job.pk), fence=job.fence)
        if not cleared.exists():
            ended += _end(job, "moderation_blocked", "nobody reviewed it in a day")
        elif cleared.filter(at__lt=Now() - SIGNING_PATIENCE).exists():
            ended += _end(job, "internal_error", "it could not be signed in time")
    return ended


def _end(job: Job, code: str, why: str) -> bool:
    try:
        with transaction.atomic():
            item = review.waiting(str(job.pk))
            cleared = Clearance.objects.filter(subject=str(job.pk), fence=job.fence)
            if code == "moderation_blocked" and cleared.exists():
                return False  # somebody decided in this moment
            finalization.give_up(job, State.BLOCKED, code, why)
            if item is not None:
                review.close(item, ReviewItem.State.EXPIRED)
            transaction.on_commit(lambda: _forget(job))
    except ChangedMeanwhile:
        return False
    return True


def _forget(job: Job) -> None:
    """The kept file, once the clip is delivered or blocked; watchers look again."""
    try:
        quarantine_files.delete_tree(f"{quarantine_files.REVIEW}/{job.pk}")
    except OSError as problem:
        operations.report("review.file_not_deleted", "error", f"job:{job.pk}", {"error": str(problem)})
    streams.announce(job.pk, "state", {})


def sweep(limit: int = 200) -> int:
    """Kept files that nobody needs any more, because whoever should have deleted them was killed; how many."""
    place = quarantine_files.quarantine()
    if not place.exists(quarantine_files.REVIEW):
        return 0
    names = sorted(place.listdir(quarantine_files.REVIEW)[0])[:limit]
    ended = Job.objects.filter(pk__in=names).exclude(state__in=(State.REVIEW, State.FINISHING, State.RUNNING))
    for pk in (found := list(ended.values_list("pk", flat=True))):
        quarantine_files.delete_tree(f"{quarantine_files.REVIEW}/{pk}")
    return len(found)


def _prompt_of(item: ReviewItem) -> str:
    return Job.objects.values_list("prompt", flat=True).get(pk=item.subject)
