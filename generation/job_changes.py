"""The changes of an organization's jobs in one order that never changes, for whoever follows them behind a number.

Events get their numbers inside transactions, and those end in any order: a reader who goes on behind the highest number
that they saw would miss what is committed later under a lower one. `Horizon` says up to which number nothing can appear
any more, and nobody is told of anything beyond it.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts import batch
from generation.models import Job, JobEvent

AT_ONCE = 200
# Read first. Whoever holds a number up to this one had a transaction id before (the job's own row was written first),
# so it is among the transactions that the second statement sees.
LAST_NUMBER = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM generation_jobevent_id_seq"
# Transactions count through the whole cluster; of those that are known to belong to another database none matters here.
RUNNING = """
SELECT x::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) x
 WHERE NOT EXISTS (
   SELECT FROM pg_stat_activity a WHERE a.backend_xid = x::xid AND a.datname <> current_database())
"""


@dataclass(frozen=True)
class Change:
    """A job went from one state to another; `number` orders all changes of this installation."""

    number: int
    job: str
    kind: str
    at: datetime
    from_state: str
    to_state: str
    cause: str


class Horizon:
    """Moves on by looks: what was the last number at one of them is final once all that ran then has ended."""

    def __init__(self) -> None:
        self.number: int | None = None  # None until the first number is final
        self._coming: tuple[int, frozenset[int]] | None = None

    def look(self, last: int, running: frozenset[int]) -> None:
        """`last` was read before the ids of the transactions that run."""
        if self._coming is not None and not self._coming[1] & running:
            self.number, self._coming = self._coming[0], None
        if not running:
            self.number, self._coming = last, None
        elif self._coming is None:
            self._coming = (last, running)


def look(organization_id: int, after: int | None, horizon: Horizon) -> tuple[list[Change], int | None]:
    """What is final behind the number `after`, oldest first and `AT_ONCE` at most, and the number to go on behind.

    Without a number it begins at the end: nothing of the past, and everything from the first look on. One round trip,
    and a query where there may be something.
    """
    ((last,),), running = batch.read([(LAST_NUMBER, ()), (RUNNING, ())])
    horizon.look(last, frozenset(number for (number,) in running))
    if horizon.number is None or after is None:
        return [], horizon.number
    if horizon.number <= after:
        return [], after
    found = _between(organization_id, after, horizon.number)
    return found, found[-1].number if len(found) == AT_ONCE else horizon.number


def _between(organization_id: int, after: int, upto: int) -> list[Change]:
    events = JobEvent.objects.filter(
        job__organization=organization_id, job__deleted_at=None, id__gt=after, id__lte=upto
    )
    columns = ("id", "job_id", "job__kind", "job__spec", "at", "from_state", "to_state", "cause")
    return [
        Change(number, Job(id=job, kind=kind, spec=spec).public_id, kind, *rest)
        for number, job, kind, spec, *rest in events.order_by("id").values_list(*columns)[:AT_ONCE]
    ]
