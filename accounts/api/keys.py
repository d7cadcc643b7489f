"""/api/keys: the organization's API keys, for who holds the scope admin. `request.caller` is who asks."""

from datetime import datetime
from typing import Any, Literal

from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from accounts import keys
from accounts.api.once import idempotency_key, once
from accounts.api.paging import After, Limit, page
from accounts.errors import ApiError
from accounts.identity import Caller
from accounts.models import ApiKey

router = Router(tags=["keys"])

Scope = Literal["read", "generate", "billing", "admin"]
LIVE = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=Now()))


class KeyIn(Schema):
    """What the key is for, and what it may do."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=80, description="What the key is for.")
    scopes: list[Scope] = Field(min_length=1, max_length=4, description="What it may do.")


class RotateIn(Schema):
    """How long the old secret lives on, until the programs that use it have the new one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    hours: int = Field(24, ge=0, le=keys.MOST_HOURS)


class KeyOut(Schema):
    """A key without its secret, of which only the digest is stored. `expires_at` is set once it was rotated."""

    id: int
    object: Literal["api_key"] = "api_key"
    name: str
    scopes: list[Scope]
    starts_with: str
    ends_with: str
    live: bool
    replaces: int | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKeyOut(KeyOut):
    """`secret` is the key itself, told this once: null where an Idempotency-Key is repeated."""

    secret: str | None


class KeysOut(Schema):
    """Newest first; the next page is asked for with `after=last_id`."""

    object: Literal["list"] = "list"
    data: list[KeyOut]
    has_more: bool
    last_id: int | None


@router.get("/keys", response=KeysOut, summary="List API keys")
def list_keys(
    request: HttpRequest,
    limit: Limit = 20,
    after: After = None,
    state: Literal["live", "ended"] | None = None,
):
    """The organization's keys, with `state` only those that work or only those that don't any more."""
    found = _of(request.caller).order_by("-id")
    if after is not None:
        found = found.filter(pk__lt=after)
    if state is not None:
        found = found.filter(LIVE if state == "live" else ~LIVE)
    return page(found, limit, key_out)


@router.post("/keys", response={201: NewKeyOut}, summary="Make an API key")
def create_key(request: HttpRequest, asked: KeyIn):
    """The secret is in this answer and nowhere else. A key gives no scope that it doesn't hold itself."""
    caller = request.caller
    _require_held(caller, asked.scopes)

    def make() -> dict[str, Any]:
        key, raw = keys.create(caller.organization, asked.name, asked.scopes, caller.actor)
        key.refresh_from_db()  # times that the database gave
        return {**key_out(key), "secret": raw}

    key = idempotency_key(request)
    return Status(201, once(caller.organization, "keys", key, asked.dict(), make, secrets=["secret"]))


@router.get("/keys/{key_id}", response=KeyOut, summary="Read an API key")
def read_key(request: HttpRequest, key_id: int):
    """One key, also one that has ended."""
    return key_out(_find(request.caller, key_id))


@router.post("/keys/{key_id}/rotate", response={201: NewKeyOut}, summary="Rotate an API key")
def rotate_key(request: HttpRequest, key_id: int, asked: RotateIn):
    """A new key of the same name and scopes; the old one goes on for `hours` and then ends by itself."""
    caller = request.caller
    old = _find(caller, key_id)
    _require_held(caller, old.scopes)

    def make() -> dict[str, Any]:
        key, raw = keys.rotate(old, caller.actor, asked.hours)
        key.refresh_from_db()
        return {**key_out(key), "secret": raw}

    key, fields = idempotency_key(request), {**asked.dict(), "key_id": key_id}
    return Status(201, once(caller.organization, "keys.rotate", key, fields, make, secrets=["secret"]))


@router.delete("/keys/{key_id}", response=KeyOut, summary="Revoke an API key")
def revoke_key(request: HttpRequest, key_id: int):
    """Ends it at once, for good; one that has ended stays as it is."""
    key = _find(request.caller, key_id)
    keys.revoke(key, request.caller.actor, "revoked through the API")
    return key_out(key)


def key_out(key: ApiKey) -> dict[str, Any]:
    """The public form of a key."""
    times = ("created_at", "last_used_at", "expires_at", "revoked_at")
    return {
        **{name: getattr(key, name) for name in ("id", "name", "scopes", *times)},
        "object": "api_key",
        "starts_with": key.prefix,
        "ends_with": key.last_four,
        "live": keys.is_live(key),
        "replaces": key.replaces_id,
    }


def _of(caller: Caller):
    return ApiKey.objects.filter(organization=caller.organization)


def _find(caller: Caller, key_id: int) -> ApiKey:
    """The caller's key; another organization's is simply not found."""
    key = _of(caller).filter(pk=key_id).select_related("organization").first()
    if key is None:
        raise ApiError("not_found", f"There is no key {key_id} in this organization.", param="key_id")
    return key


def _require_held(caller: Caller, scopes: list[str]) -> None:
    """A key that leaks must not make itself mightier."""
    lacking = sorted(set(scopes) - caller.scopes)
    if lacking:
        message = (
            f"Who asks doesn't hold {', '.join(lacking)}, so no key with it can be made. No key was made."
        )
        raise ApiError("insufficient_scope", message, param="scopes")
