"""Secrets and signatures as Standard Webhooks say: HMAC-SHA256 over `id.timestamp.body`.

A secret has to be readable again to sign with, so it can't be stored as a digest. It is kept encrypted (Fernet:
AES-128-CBC with an HMAC) under a key derived from the installation's SECRET_KEY by HKDF-SHA256: a copy of the database
alone signs nothing. After a change of SECRET_KEY the old one belongs into SECRET_KEY_FALLBACKS.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PREFIX = "whsec_"
SECRET_BYTES = 32


class Unreadable(Exception):
    """The stored secret was encrypted under another SECRET_KEY."""


def new_secret() -> str:
    """A fresh secret as its receiver writes it: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal(secret: str) -> str:
    """A secret as it is stored."""
    return _box(_keys()).encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret back. Raises Unreadable."""
    try:
        return _box(_keys()).decrypt(sealed.encode()).decode()
    except InvalidToken as problem:
        raise Unreadable from problem


def signature(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """One signature: `v1,` and the base64 of the HMAC. `timestamp` in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def headers(living: Iterable[str], message_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The three headers; one signature per living secret, so that either verifies while one is rotated."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(one, message_id, timestamp, body) for one in living),
    }


def _keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"backlot webhook secrets").derive(
        key.encode()
    )
    return base64.urlsafe_b64encode(made)
