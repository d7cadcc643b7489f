"""Exact repeats: a clip that this organization has already, asked for again in every detail, is served as it is.

The same prompt, size, length, steps, seed, precision and model revision are one `spec_hash`; the text rules have just
passed the prompt again, and the clip must have been scanned under the frame policy in force. A request without a seed
gets a random one, so it repeats nothing. The repeat is a job of its own, with its decision, hold and charge, at the
price for repeats; its file is the original's, and it is delivered only as long as that is (migration 0010).
"""

from datetime import timedelta

from django.utils import timezone

from generation.models import Asset, Job, Kind, State
from safety.models import Scan
from safety.policy import thresholds

WORTH_REPEATING = timedelta(days=1)  # a file that is soon gone is made anew instead


def find(organization_id: int, spec_hash: str) -> Job | None:
    """The finished clip that a request with this spec repeats; None where there is none, or none deliverable now."""
    made = Job.objects.filter(
        organization=organization_id,
        spec_hash=spec_hash,
        kind=Kind.CLIP,
        state=State.DELIVERED,
        repeat_of=None,
        deleted_at=None,
    )
    original = made.order_by("-finished_at").first()
    if original is None or not _deliverable(original):
        return None
    return original


def _deliverable(job: Job) -> bool:
    """Its file is there for a day or more, and the scan that passed it was taken under the policy that is in force."""
    if job.expires_at is not None and job.expires_at <= timezone.now() + WORTH_REPEATING:
        return False
    files = Asset.objects.filter(job=job, fence=job.fence, role="video", removed_at=None, withheld_at=None)
    scans = Scan.objects.filter(subject=str(job.pk), fence=job.fence, purpose=Scan.Purpose.FINAL)
    passed = scans.filter(verdict=Scan.Result.PASS, policy_version=thresholds.policy_version())
    return files.filter(quarantined_at=None).exists() and passed.exists()


def source_of(job: Job) -> Job:
    """The job whose file a job delivers: itself, or the clip that it repeats."""
    return job.repeat_of if job.repeat_of_id else job
