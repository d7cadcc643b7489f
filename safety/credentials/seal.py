"""A seal over every byte of a signed file.

A C2PA manifest leaves bytes of an MP4 uncovered: the `ftyp` and `free` boxes, and hundreds of padding and header bytes
of its own box, in a small clip one byte in six. So the signed file ends with one more `free` box, which players and
C2PA readers skip: an Ed25519 signature of everything before it, by a key made for this file alone and forgotten
afterwards. Its public half stands in the signed manifest, so that nobody can seal a changed file again.
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MARK = b"backlot seal v1\0"
SIGNATURE_BYTES = 64
BOX_BYTES = 8 + len(MARK) + SIGNATURE_BYTES
HEAD = BOX_BYTES.to_bytes(4) + b"free" + MARK


def new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public half, 64 hex digits, as it stands in the manifest."""
    return key.public_key().public_bytes_raw().hex()


def sealed(content: bytes, key: Ed25519PrivateKey) -> bytes:
    """The content with its seal behind it."""
    return content + HEAD + key.sign(hashlib.sha256(content).digest())


def is_whole(content: bytes, public_key_hex: str) -> bool:
    """Does the content end with a seal by this key over every byte before it?"""
    body, box = content[:-BOX_BYTES], content[-BOX_BYTES:]
    if not box.startswith(HEAD):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key_hex))
        key.verify(box[len(HEAD) :], hashlib.sha256(body).digest())
    except (InvalidSignature, ValueError):
        return False
    return True
