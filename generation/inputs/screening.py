"""The screening of a picture that a clip begins from: a stage of its own, before the job may be queued.

Workers of the job's pool do it, beside their clips. A lease by the database's clock and a fencing number keep it to one
of them at a time: whoever is killed or hangs loses it, and another begins anew. Unavailable gates are asked again
later; after three tries the job fails, and nothing was queued or charged.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from generation import finalization, streams
from generation.finalization import ChangedMeanwhile
from generation.inputs import input_images
from generation.inputs.input_records import InputImage
from generation.models import Job, State
from safety.models import Scan
from safety.postfilter.scan import scan_picture

logger = logging.getLogger(__name__)

LEASE_S = 120.0  # all gates may take their deadline for each class
MOST_TRIES = 3
AGAIN_S = 5.0  # after a gate could not answer
PATIENCE = timedelta(minutes=15)

TAKE = """
UPDATE generation_inputimage i
   SET fence = nextval('generation_fence'), tries = i.tries + 1,
       lease_expires_at = clock_timestamp() + make_interval(secs => %s)
  FROM (SELECT w.job_id FROM generation_inputimage w
          JOIN generation_job j ON j.id = w.job_id JOIN generation_lane l ON l.slug = j.lane_id
         WHERE j.state = 'screening' AND l.pool_id = %s
           AND (w.lease_expires_at IS NULL OR w.lease_expires_at <= clock_timestamp())
         ORDER BY j.queued_at LIMIT 1 FOR UPDATE OF w SKIP LOCKED) AS next
 WHERE i.job_id = next.job_id
RETURNING i.job_id, i.fence, i.tries
"""


@dataclass(frozen=True)
class Turn:
    """One worker's right to say what a picture's scan came to."""

    job_id: UUID
    fence: int
    tries: int


class TurnLost(Exception):
    """Another worker has the picture by now, or its job has ended; nothing is written."""


def run_waiting(pool_slug: str) -> int:
    """Screen every picture that waits in a pool and that nobody else is at; how many were decided."""
    decided = 0
    while (turn := take(pool_slug)) is not None:
        decided += screen(turn)
    return decided


def take(pool_slug: str) -> Turn | None:
    """The picture that has waited longest, under a new fence; None where none waits."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [LEASE_S, pool_slug])
        row = cursor.fetchone()
    return Turn(*row) if row else None


def screen(turn: Turn) -> bool:
    """Scan the picture and move its job. False where somebody else has it by now."""
    image = InputImage.objects.get(pk=turn.job_id)
    try:
        if turn.tries > MOST_TRIES:
            _conclude(turn, None)
            return True
        _conclude(turn, _scanned(image, turn))
    except (TurnLost, ChangedMeanwhile) as lost:
        logger.warning(
            "a screening was lost", extra={"job": str(turn.job_id), "fence": turn.fence, "why": str(lost)}
        )
        return False
    streams.announce(turn.job_id, "state", {})
    return True


def end_overdue() -> int:
    """Jobs whose picture nobody could screen in 15 minutes fail; nothing was queued, nothing is charged."""
    overdue = Job.objects.filter(state=State.SCREENING, state_at__lt=Now() - PATIENCE)
    ended = 0
    for job in overdue:
        try:
            finalization.fail_screening(job, "nobody could check its picture in time")
            ended += 1
        except ChangedMeanwhile:
            continue
    return ended


def _scanned(image: InputImage, turn: Turn) -> Scan:
    try:
        content = input_images.content_of(image)
    except OSError as error:
        # What is scanned has to be what was stored: an empty file is refused as unreadable, and that is on record.
        logger.error("an input picture is gone", extra={"job": str(turn.job_id), "error": str(error)})
        content = b""
    return scan_picture(content, str(turn.job_id), turn.fence)


@transaction.atomic
def _conclude(turn: Turn, scan: Scan | None) -> None:
    """ONE transaction under the turn's fence: queued, blocked, tried again later, or failed."""
    image = InputImage.objects.select_for_update().filter(pk=turn.job_id, fence=turn.fence).first()
    if image is None:
        raise TurnLost(f"fence {turn.fence} of job {turn.job_id} is no longer the one in force")
    job = Job.objects.select_related("model", "lane").get(pk=turn.job_id)
    if job.state != State.SCREENING:
        raise TurnLost(f"job {job.pk} is {job.state}")
    verdict = Scan.Result.UNAVAILABLE if scan is None else scan.verdict
    if verdict == Scan.Result.PASS:
        finalization.queue_screened(job)
    elif verdict in (Scan.Result.BLOCK, Scan.Result.REVIEW):
        # Nobody is kept waiting for a person's word on a picture: what is doubtful is refused.
        finalization.refuse_picture(job, _named_class(scan), scan.reason)
    elif turn.tries >= MOST_TRIES:
        why = "the gates could not check its picture"
        finalization.fail_screening(job, why, scan.reason if scan else "three workers were lost with it")
    else:
        InputImage.objects.filter(pk=image.pk).update(
            lease_expires_at=Now() + timedelta(seconds=AGAIN_S * turn.tries)
        )


def _named_class(scan: Scan) -> str:
    """The class that kept it back, for its owner."""
    kept = scan.verdicts.filter(outcome=scan.verdict).order_by("pk")
    return kept.values_list("frame_class", flat=True).first() or "safety"
