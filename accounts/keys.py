"""API keys: made, found and revoked. Every call looks the row up, so a revocation is in force at once."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from accounts.errors import ApiError
from accounts.models import ApiKey, Organization, User

RAW = re.compile(r"bk_[A-Za-z0-9_-]{43}")
SHOWN_START = 7  # "bk_" and four more characters
USE_NOTED_EVERY = timedelta(minutes=1)
SCOPES = tuple(ApiKey.Scope.values)


def digest_of(raw: str) -> str:
    """sha256 in hex. A key carries 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(raw.encode()).hexdigest()


def create(
    organization: Organization, name: str, scopes: Iterable[str], by: User | str
) -> tuple[ApiKey, str]:
    """A new key and its raw text, which can't be had again. Raises `ApiError` for a bad name or scope."""
    name = name.strip()
    if not name or len(name) > 80:
        raise ApiError("invalid_value", "Give the key a name of 1 to 80 characters.", param="name")
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        known = ", ".join(SCOPES)
        raise ApiError("invalid_value", f"Choose at least one scope out of {known}.", param="scopes")
    raw = f"bk_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        key = ApiKey.objects.create(
            organization=organization,
            name=name,
            digest=digest_of(raw),
            prefix=raw[:SHOWN_START],
            last_four=raw[-4:],
            scopes=[scope for scope in SCOPES if scope in wanted],
            created_by=by if isinstance(by, User) else None,
        )
        audit.record(
            actor=by,
            action="api_key.create",
            target=f"api_key:{key.pk}",
            reason="a new key was asked for",
            before=None,
            after={"name": key.name, "key": f"{key.prefix}…{key.last_four}", "scopes": key.scopes},
            organization=organization,
        )
    return key, raw


def find(raw: str) -> ApiKey | None:
    """The unrevoked key with its organization, or None; one query, and one update a minute at most."""
    if not RAW.fullmatch(raw):
        return None
    key = (
        ApiKey.objects.select_related("organization")
        .filter(digest=digest_of(raw), revoked_at__isnull=True)
        .first()
    )
    if key is not None:
        note_use(key)
    return key


def note_use(key: ApiKey) -> None:
    """Remember that the key was used. The condition holds it to once a minute however many calls come at once."""
    if key.last_used_at is not None and timezone.now() - key.last_used_at < USE_NOTED_EVERY:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - USE_NOTED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk, revoked_at__isnull=True).update(last_used_at=Now())


def revoke(key: ApiKey, by: User | str, reason: str) -> bool:
    """End a key at once. True where this call ended it, False where it had ended before."""
    with transaction.atomic():
        ended = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=Now())
        if not ended:
            return False
        audit.record(
            actor=by,
            action="api_key.revoke",
            target=f"api_key:{key.pk}",
            reason=reason,
            before={"revoked": False},
            after={"revoked": True},
            organization=key.organization,
        )
    key.refresh_from_db(fields=["revoked_at"])
    return True
