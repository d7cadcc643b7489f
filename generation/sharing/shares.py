"""Share links: made by who may make clips, ended by them or by time, and looked at again at every use.

A link is worth no more than a download: what may not be delivered now (delivery.clip_file) is not shown by it either,
so that a withdrawal or a deletion ends every link at once, without a row being touched.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from accounts import audit
from accounts.errors import ApiError
from accounts.identity import Caller
from generation import delivery
from generation.models import ClipShare, Job

TOKEN_BYTES = 32
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
DAYS = (7, 1, 30, 90)  # what the form offers, the usual first
MOST_LIVE = 10  # links to one clip at a time
UNKNOWN = "This link leads nowhere. Check that all of it was copied, or ask whoever sent it."
ENDED = "This link has ended. Ask whoever sent it for another."
NOT_NOW = "The clip behind this link is not shown now."


@dataclass(frozen=True)
class Made:
    """A new link; `token` is its secret, which is stored nowhere."""

    share: ClipShare
    token: str


def share(job: Job, caller: Caller, *, days: int, shows_prompt: bool, now: datetime) -> Made:
    """Make a link to a delivered clip that lives for so many days, or as long as the clip's files are kept.

    Raises ApiError as `delivery.clip_file` does, insufficient_scope for a key, and invalid_value for a time that isn't
    offered or where the clip has enough links.
    """
    if caller.user is None:
        raise ApiError("insufficient_scope", "Links are made by people, on the page of the clip.")
    if days not in DAYS:
        offered = ", ".join(str(one) for one in sorted(DAYS))
        raise ApiError("invalid_value", f"A link lives {offered} days. No link was made.", param="days")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        locked = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("repeat_of")
        job = locked.get(pk=job.pk)
        delivery.clip_file(job)
        if len(live_of(job, now)) >= MOST_LIVE:
            message = f"This clip has {MOST_LIVE} links already. End one of them first. No link was made."
            raise ApiError("invalid_value", message)
        ends = [now + timedelta(days=days), *(one for one in (job.expires_at,) if one)]
        made = ClipShare.objects.create(
            organization=caller.organization,
            job=job,
            digest=digest_of(token),
            last_four=token[-4:],
            shows_prompt=shows_prompt,
            created_by=caller.user,
            created_at=now,
            expires_at=min(ends),
        )
        _note(made, caller, "clip.share", None, _state(made), "shared by a link")
    return Made(made, token)


def revoke(job: Job, share_id: int, caller: Caller, now: datetime) -> bool:
    """End a link at once; False where it had been ended before. Raises ApiError not_found for none of this clip's."""
    with transaction.atomic():
        rows = ClipShare.objects.select_for_update(no_key=True, of=("self",))
        found = rows.filter(pk=share_id, job=job, organization=caller.organization).first()
        if found is None:
            raise ApiError("not_found", "There is no such link to this clip.")
        if found.revoked_at is not None:
            return False
        before = _state(found)
        found.revoked_at, found.revoked_by = now, caller.user
        found.save(update_fields=["revoked_at", "revoked_by"])
        _note(found, caller, "clip.unshare", before, _state(found), "ended on the page of the clip")
    return True


def live_of(job: Job, now: datetime) -> list[ClipShare]:
    """The links to a clip that still live, newest first; one query."""
    found = ClipShare.objects.filter(job=job, revoked_at=None, expires_at__gt=now).select_related(
        "created_by"
    )
    return list(found.order_by("-created_at")[: MOST_LIVE + 1])


def open_share(token: str, now: datetime) -> ClipShare:
    """The link with this secret and its clip, if that may be shown now; two queries.

    Raises ApiError: not_found for no link, content_expired for one that ended or whose clip was deleted or is no longer
    kept, content_withdrawn or not_ready as a download would.
    """
    if not TOKEN.fullmatch(token):
        raise ApiError("not_found", UNKNOWN)
    rows = ClipShare.objects.select_related("job__repeat_of", "job__model")
    found = rows.filter(digest=digest_of(token)).first()
    if found is None:
        raise ApiError("not_found", UNKNOWN)
    if found.revoked_at is not None or found.expires_at <= now:
        raise ApiError("content_expired", ENDED)
    try:
        delivery.clip_file(found.job)
    except ApiError as refusal:
        # Nothing of the clip is told to strangers, not even its id.
        code = "content_expired" if refusal.code == "not_found" else refusal.code
        raise ApiError(code, NOT_NOW) from refusal
    return found


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _state(one: ClipShare) -> dict:
    return {
        "link": f"…{one.last_four}",
        "until": one.expires_at.isoformat(),
        "shows_prompt": one.shows_prompt,
        "revoked": one.revoked_at is not None,
    }


def _note(one: ClipShare, caller: Caller, action: str, before: dict | None, after: dict, reason: str) -> None:
    audit.record(
        actor=caller.user,
        action=action,
        target=f"job:{one.job_id}",
        reason=reason,
        before=before,
        after=after,
        organization=caller.organization,
    )
