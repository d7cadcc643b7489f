"""Where a job's trace goes on in another process: the traceparent that was stored with it, while traces are on."""

from uuid import UUID

from accounts import batch, tracing
from generation.models import JobTrace


def insertion(job_id: UUID) -> list[batch.Statement]:
    """What stores the current span with a job, in the transaction that writes it; nothing where traces are off."""
    if not tracing.on():
        return []
    return [batch.insertion(JobTrace(job_id=job_id, traceparent=tracing.here()))]


def of(job_id: UUID) -> str:
    """The traceparent of the request that a job came from; "" where none was stored. A query where traces are on."""
    if not tracing.on():
        return ""
    return JobTrace.objects.filter(pk=job_id).values_list("traceparent", flat=True).first() or ""
