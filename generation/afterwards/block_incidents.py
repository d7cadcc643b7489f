"""A child-safety block opens a safety incident, in the transaction that blocks the job: hashes, never the content."""

from generation.models import Job
from safety import incidents
from safety.models import FrameClass, SafetyIncident, Scan

BY = "frame gates"


def of_block(job: Job, category: str) -> SafetyIncident | None:
    """Open the incident of a block; None for every other class, which is no incident by itself."""
    if category != FrameClass.CHILD_SAFETY:
        return None
    scans = Scan.objects.filter(subject=str(job.pk), verdict=Scan.Result.BLOCK).order_by("-pk")
    return of_scan(job, scans.first())


def of_scan(job: Job, scan: Scan | None, kind: str = SafetyIncident.Kind.CHILD_SAFETY) -> SafetyIncident:
    """Open the incident of a scan that blocked a job's frames."""
    evidence = incidents.of_scan(scan) if scan else {}
    return incidents.open_incident(
        kind,
        f"scan:{scan.pk}" if scan else f"job:{job.pk}:{job.fence}",
        f"{SafetyIncident.Kind(kind).label} of {job.public_id}",
        subject=str(job.pk),
        evidence={**evidence, "model": str(job.model), "organization": job.organization_id},
        by=BY,
        text=scan.reason if scan and scan.reason else "Blocked by a frame gate.",
    )
