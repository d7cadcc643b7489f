"""What a stream keeps of its job for as long as it is open: a few fields in place of the row with its prompt."""

import sys
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from generation.api import shapes
from generation.models import Job


@dataclass(frozen=True, slots=True)
class Kept:
    """`created` in seconds since the epoch, `quote` in credits; `partial` is the language in which an answer that
    ends early is to parse, "" where nobody asked for that; `fresh` as `Job.just_submitted`."""

    id: UUID
    public_id: str
    created: int
    model: str
    decision: str
    quote: float
    partial: str
    background: bool
    fresh: bool

    @classmethod
    def of(cls, job: Job) -> "Kept":
        return cls(
            id=job.pk,
            public_id=job.public_id,
            created=shapes.epoch(job.created_at),
            model=sys.intern(job.model.name),
            decision=str(job.decision_id),
            quote=job.quote_micro / shapes.MICRO,
            partial=job.spec.get("partial") or "",
            background=bool(job.spec.get("background")),
            fresh=job.just_submitted,
        )

    @property
    def extras(self) -> dict[str, Any]:
        """What every contract's answer says under `backlot`."""
        return {"decision": self.decision, "quote": self.quote}
