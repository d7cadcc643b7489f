"""Live settings are a baseline and overrides that expire; the value in force is derived, never stored."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol


class Overriding(Protocol):
    """What an override must tell: `accounts.models.Override`, or the plain values of a simulation."""

    field: str
    value: object
    created_at: datetime
    expires_at: datetime | None
    removed_at: datetime | None


def in_force(override: Overriding, now: datetime) -> bool:
    """Made already, not expired, not removed; an override that expires at `now` is over."""
    return (
        override.created_at <= now
        and (override.expires_at is None or now < override.expires_at)
        and (override.removed_at is None or now < override.removed_at)
    )


def effective(baseline: Mapping[str, object], overrides: Iterable[Overriding], now: datetime) -> dict:
    """The values in force at `now`: the baseline with, per field, the newest override in force.

    Of two made at the same moment the later in `overrides` wins. An override of a field that the baseline
    lacks is a KeyError: a misspelt field must not look like a setting that took effect.
    """
    values = dict(baseline)
    newest: dict[str, datetime] = {}
    for override in overrides:
        if override.field not in values:
            raise KeyError(f"{override.field} is overridden but is no field of the baseline")
        if not in_force(override, now):
            continue
        if override.field not in newest or newest[override.field] <= override.created_at:
            newest[override.field] = override.created_at
            values[override.field] = override.value
    return values
