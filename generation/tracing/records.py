"""Where a job's trace goes on: written with the job while traces are on, and by nobody else."""

from django.db import models


class JobTrace(models.Model):
    """The W3C traceparent of a job's request. A table of its own: without traces no job pays for it."""

    job = models.OneToOneField(
        "generation.Job", primary_key=True, on_delete=models.CASCADE, related_name="trace_context"
    )
    traceparent = models.CharField(max_length=55)

    def __str__(self) -> str:
        return self.traceparent
