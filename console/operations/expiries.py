"""How long a change may be asked to last, on every page that makes one."""

from datetime import datetime, timedelta

from django.utils import timezone

from accounts.errors import ApiError

EXPIRIES = (
    ("", "Until it is undone"),
    ("2", "2 minutes, to try it"),
    ("15", "15 minutes"),
    ("60", "1 hour"),
    ("240", "4 hours"),
    ("1440", "1 day"),
)


def expiry(minutes: str) -> datetime | None:
    """The time that was chosen, None for no end. Raises `ApiError` for one that is not listed."""
    if not minutes:
        return None
    if minutes not in dict(EXPIRIES):
        raise ApiError("invalid_value", "Choose one of the listed times.", param="expires")
    return timezone.now() + timedelta(minutes=int(minutes))
