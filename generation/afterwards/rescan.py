"""The rolling re-scan: a tenth of what was delivered in the last 24 hours, under the policy of now. For workers.

Which clips is settled by a secret seed per day: a clip is in the sample or it isn't, whenever it is asked. A row per
clip is claimed under a lease, so a killed round is taken up again and none is looked at twice.
"""

import logging
import secrets
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import operations
from generation.afterwards import block_incidents, review_delivery, withdrawal
from generation.models import Asset, Job, Rescan, RescanDay
from safety.models import FrameClass, ReviewItem, SafetyIncident, Scan
from safety.postfilter.scan import scan_file
from safety.review import queue as review

logger = logging.getLogger(__name__)

SHARE_PERCENT = 10
MOST_TRIES = 3
LEASE = timedelta(minutes=10)
BY = "re-scan"

# A clip that is in its day's sample and was never looked at, oldest first; or one whose round was killed.
NEXT = """
WITH due AS (
  SELECT j.id, d.day FROM generation_job j
    JOIN generation_rescanday d ON d.day = (j.finished_at AT TIME ZONE 'UTC')::date
   WHERE j.kind = 'clip' AND j.state = 'delivered' AND j.repeat_of_id IS NULL AND j.deleted_at IS NULL
     AND j.finished_at > clock_timestamp() - interval '24 hours'
     AND ('x' || substr(md5(d.seed || j.id::text), 1, 7))::bit(28)::int %% 10000 < d.share_percent * 100
     AND NOT EXISTS (SELECT 1 FROM generation_rescan r WHERE r.job_id = j.id)
   ORDER BY j.finished_at LIMIT 1
)
INSERT INTO generation_rescan (day_id, job_id, lease_expires_at, tries, verdict)
SELECT day, id, clock_timestamp() + make_interval(secs => %(lease)s), 1, '' FROM due
ON CONFLICT (job_id) DO NOTHING RETURNING id
"""
LAPSED = """
UPDATE generation_rescan SET tries = tries + 1, lease_expires_at = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE id = (SELECT id FROM generation_rescan
              WHERE finished_at IS NULL AND lease_expires_at <= clock_timestamp() AND tries < %(tries)s
              ORDER BY lease_expires_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""


def run(most: int = 2, seconds: float = 5.0) -> int:
    """One round: so many clips, or for so long, at most; how many were looked at."""
    prepare_days(timezone.now())
    _give_up_lapsed()
    deadline = time.monotonic() + seconds
    done = 0
    while done < most and time.monotonic() < deadline:
        row = _next()
        if row is None:
            break
        look_again(row)
        done += 1
    return done


def prepare_days(now: datetime) -> None:
    """The seeds of yesterday and today; made once, never changed."""
    today = now.astimezone(UTC).date()
    for day in (today - timedelta(days=1), today):
        seeded = {"seed": secrets.token_hex(16), "share_percent": SHARE_PERCENT}
        RescanDay.objects.get_or_create(day=day, defaults=seeded)


def look_again(row: Rescan) -> str:
    """Scan one delivered file again and act on what is found; the verdict."""
    job = row.job
    asset = Asset.objects.filter(job=job, role="video", removed_at=None).first()
    if asset is None:
        _finish(row, None, "gone")  # its owner deleted it meanwhile
        return "gone"
    scan = _scanned(job, asset)
    with transaction.atomic():
        if scan.verdict == Scan.Result.BLOCK:
            _hit(job, scan)
        elif scan.verdict == Scan.Result.REVIEW:
            _ask_people(job, asset, scan)
        if scan.verdict != Scan.Result.UNAVAILABLE or row.tries >= MOST_TRIES:
            _finish(row, scan, scan.verdict)
        else:  # the alarm row is there (safety.scan_unavailable); another round tries again
            Rescan.objects.filter(pk=row.pk).update(lease_expires_at=Now() + timedelta(minutes=1))
    return scan.verdict


def figures(days: int = 7) -> list[dict]:
    """Per day, newest first: clips in the sample so far, scanned, found (blocked), to people, not answered."""
    rows = RescanDay.objects.order_by("-day").annotate(
        taken=Count("rescans"),
        scanned=Count("rescans", filter=Q(rescans__verdict__in=("pass", "block", "review"))),
        found=Count("rescans", filter=Q(rescans__verdict="block")),
        asked=Count("rescans", filter=Q(rescans__verdict="review")),
        unanswered=Count("rescans", filter=Q(rescans__verdict="unavailable")),
    )
    names = ("day", "share_percent", "taken", "scanned", "found", "asked", "unanswered")
    return list(rows.values(*names)[:days])


def in_sample(job_id: str, day: date) -> bool:
    """Whether a clip belongs to a day's sample; as the query decides it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ('x' || substr(md5(seed || %s), 1, 7))::bit(28)::int %% 10000 < share_percent * 100"
            " FROM generation_rescanday WHERE day = %s",
            [job_id, day],
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def _give_up_lapsed() -> None:
    """A clip whose round was killed each time it was tried: not answered, with an alarm, and left alone."""
    lapsed = Rescan.objects.filter(finished_at=None, lease_expires_at__lte=Now(), tries__gte=MOST_TRIES)
    for row in lapsed[:20]:
        _finish(row, None, Scan.Result.UNAVAILABLE)
        operations.report("rescan.not_finished", "error", f"job:{row.job_id}", {"tries": row.tries})


def _next() -> Rescan | None:
    with connection.cursor() as cursor:
        for sql in (LAPSED, NEXT):
            cursor.execute(sql, {"lease": LEASE.total_seconds(), "tries": MOST_TRIES})
            found = cursor.fetchone()
            if found is not None:
                return Rescan.objects.select_related("job__model").get(pk=found[0])
    return None


def _scanned(job: Job, asset: Asset) -> Scan:
    """The delivered file itself, under the policy of now."""
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.WORK_ROOT, prefix="rescan-") as folder:
        path = Path(folder) / "clip.mp4"
        if default_storage.exists(asset.path):
            with default_storage.open(asset.path, "rb") as file:
                path.write_bytes(file.read())
        frames = _frames_expected(job)
        return scan_file(path, str(job.pk), job.fence, frames, purpose=Scan.Purpose.RESCAN)


def _frames_expected(job: Job) -> int:
    """As the scan counted that let it out."""
    let_out = Scan.objects.filter(subject=str(job.pk), fence=job.fence, purpose=Scan.Purpose.FINAL)
    return (
        let_out.exclude(frames_total=None).order_by("-pk").values_list("frames_total", flat=True).first() or 0
    )


def _hit(job: Job, scan: Scan) -> None:
    """Delivered and now blocked: out of delivery, an incident, an alarm; one transaction."""
    classes = set(scan.verdicts.filter(outcome=Scan.Result.BLOCK).values_list("frame_class", flat=True))
    child_safety = FrameClass.CHILD_SAFETY in classes
    withdrawal.withdraw(job, by=BY, reason=f"re-scan: {scan.reason}", final=child_safety)
    kind = SafetyIncident.Kind.CHILD_SAFETY if child_safety else SafetyIncident.Kind.RESCAN
    block_incidents.of_scan(job, scan, kind)
    detail = {"scan": scan.pk, "classes": sorted(classes), "policy_version": scan.policy_version}
    operations.report("rescan.hit", "critical", f"job:{job.pk}", detail)


def _ask_people(job: Job, asset: Asset, scan: Scan) -> None:
    review.open_item(
        str(job.pk),
        asset.digest,
        kind=ReviewItem.Kind.RESCAN,
        review_class=review_delivery.asked_class(scan),
        why=f"Re-scan: {scan.reason}",
        fence=job.fence,
        scan=scan,
        withheld=True,
    )
    Asset.objects.filter(job=job, withheld_at=None).update(withheld_at=Now())


def _finish(row: Rescan, scan: Scan | None, verdict: str) -> None:
    Rescan.objects.filter(pk=row.pk, finished_at=None).update(scan=scan, verdict=verdict, finished_at=Now())
