"""API keys: made, found, rotated and revoked. Every call looks the row up, so a revocation is in force at once."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit, batch
from accounts.errors import ApiError
from accounts.models import ApiKey, Organization, User

RAW = re.compile(r"bk_[A-Za-z0-9_-]{43}")
SHOWN_START = 7  # "bk_" and four more characters
USE_NOTED_EVERY = timedelta(minutes=1)
MOST_HOURS = 720  # for how long a rotated key may live on
SCOPES = tuple(ApiKey.Scope.values)
LIVING = f"""
SELECT {batch.columns(ApiKey, "k")}, {batch.columns(Organization, "o")}
  FROM accounts_apikey k JOIN accounts_organization o ON o.id = k.organization_id
 WHERE k.digest = %s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > statement_timestamp())
"""


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
    with transaction.atomic():
        key, raw = _insert(organization, name, [scope for scope in SCOPES if scope in wanted], by)
        shown = {"name": key.name, "key": _ends(key), "scopes": key.scopes}
        _record(key, by, "api_key.create", "a new key was asked for", None, shown)
    return key, raw


def rotate(key: ApiKey, by: User | str, hours: int) -> tuple[ApiKey, str]:
    """A new secret with the same name and scopes; the old one goes on for `hours` (0 to 720) and then ends by itself.

    Raises `ApiError`: not_ready for a key that was revoked, has ended or was rotated before, invalid_value for hours.
    """
    if not 0 <= hours <= MOST_HOURS:
        raise ApiError("invalid_value", f"Let the old key live for 0 to {MOST_HOURS} hours.", param="hours")
    with transaction.atomic():
        old = ApiKey.objects.select_for_update(of=("self",)).select_related("organization").get(pk=key.pk)
        if not is_live(old) or ApiKey.objects.filter(replaces=old).exists():
            message = "This key has ended or was rotated before. Make a new one, or rotate its successor."
            raise ApiError("not_ready", message)
        ApiKey.objects.filter(pk=old.pk).update(expires_at=Now() + timedelta(hours=hours))
        made, raw = _insert(old.organization, old.name, old.scopes, by, replaces=old)
        after = {"key": _ends(made), "replaces": _ends(old), "old_lives_for_hours": hours}
        _record(made, by, "api_key.rotate", "the key was rotated", {"key": _ends(old)}, after)
    return made, raw


def is_live(key: ApiKey) -> bool:
    """Neither revoked nor at its end by this machine's clock; `find` asks the database's."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > timezone.now())


def find(raw: str) -> ApiKey | None:
    """The living key with its organization, or None; one query, and one update a minute at most."""
    if not RAW.fullmatch(raw):
        return None
    (found,) = batch.read([(LIVING, (digest_of(raw),))])
    if not found:
        return None
    key, key.organization = batch.instances((ApiKey, Organization), found[0])
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
        _record(key, by, "api_key.revoke", reason, {"revoked": False}, {"revoked": True})
    key.refresh_from_db(fields=["revoked_at"])
    return True


def _insert(
    organization: Organization,
    name: str,
    scopes: list[str],
    by: User | str,
    replaces: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    raw = f"bk_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        organization=organization,
        name=name,
        digest=digest_of(raw),
        prefix=raw[:SHOWN_START],
        last_four=raw[-4:],
        scopes=scopes,
        created_by=by if isinstance(by, User) else None,
        replaces=replaces,
    )
    return key, raw


def _ends(key: ApiKey) -> str:
    return f"{key.prefix}…{key.last_four}"


def _record(key: ApiKey, by: User | str, action: str, reason: str, before: dict | None, after: dict) -> None:
    audit.record(
        actor=by,
        action=action,
        target=f"api_key:{key.pk}",
        reason=reason,
        before=before,
        after=after,
        organization=key.organization,
    )
