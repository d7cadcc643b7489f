"""The caller's code jobs by their public ids."""

import re
from uuid import UUID

from accounts.errors import ApiError
from accounts.identity import Caller
from generation.code.dialects import DIALECTS, Dialect, prefix_of
from generation.models import Job, Kind

ANY_PREFIX = "|".join(re.escape(one.prefix) for one in DIALECTS.values())
PUBLIC_ID = re.compile(rf"(?:{ANY_PREFIX}|cmpl_)([0-9a-f]{{32}})")


def find(caller: Caller, public_id: str, dialect: Dialect) -> Job:
    """A job of the caller's that was asked for in this dialect; another organization's is simply not found."""
    match = PUBLIC_ID.fullmatch(public_id)
    jobs = Job.objects.filter(organization=caller.organization, kind=Kind.CODE, deleted_at=None)
    job = jobs.select_related("model").filter(pk=UUID(match[1])).first() if match else None
    if job is None or prefix_of(job.spec) != dialect.prefix or not job.spec.get("kept", True):
        raise ApiError("not_found", f"There is no {dialect.name} {public_id[:80]!r} in this organization.")
    return job
