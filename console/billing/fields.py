"""What billing admins type into forms, read strictly: credits, dates in UTC, whole numbers."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from accounts.errors import ApiError

MICRO = 1_000_000
# With commas as pages write them, or without; never an exponent.
CREDITS = re.compile(r"-?(?:[0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,3})(?:\.[0-9]{1,30})?")


def micro(text: str, param: str) -> int:
    """Credits as a number with at most six decimals, in micro-credits. A minus takes away."""
    plain = text.strip().replace("−", "-")
    if not CREDITS.fullmatch(plain):
        message = "Give the credits as a number, such as 250 or 0.3."
        raise ApiError("invalid_value", message, param=param)
    amount = Decimal(plain.replace(",", "")) * MICRO
    if amount != int(amount):
        message = "A credit has six decimals. Leave out the rest."
        raise ApiError("invalid_value", message, param=param)
    return int(amount)


def moment(text: str, param: str) -> datetime | None:
    """A `datetime-local` field, which is read as UTC; None where it was left empty."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError:
        raise ApiError("invalid_value", "Give the moment as date and time, in UTC.", param=param) from None


def whole(text: str, param: str) -> int:
    """A whole number, 0 or more."""
    plain = text.strip()
    if not plain.isascii() or not plain.isdecimal() or len(plain) > 9:
        raise ApiError("invalid_value", "Give a whole number.", param=param)
    return int(plain)


def key(text: str) -> str:
    """The one-time key of a form, made by the page that showed it."""
    plain = text.strip()
    if not 8 <= len(plain) <= 80 or not plain.isascii() or not plain.isprintable():
        message = "This form was not made by its page. Open the page anew; nothing was changed."
        raise ApiError("invalid_value", message, param="key")
    return plain
