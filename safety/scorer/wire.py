"""How a scorer is spoken to: sealed frames of JSON over a stream socket. Standard library only.

A frame is 4 bytes of length (big-endian, of the body), 32 bytes of seal (HMAC-SHA256 of the body under the secret that
both sides share), and the body. So an answer that was damaged, or that somebody else gave, is no answer. Every request
carries a number that its answer repeats: an old answer is none either.
"""

import hashlib
import hmac
import json
import struct

HEAD = struct.Struct(">I32s")
MOST_BYTES = 8 << 20


class BadFrame(ValueError):
    """What came is no frame of ours."""


def packed(secret: bytes, message: dict) -> bytes:
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return HEAD.pack(len(body), _seal(secret, body)) + body


def length(head: bytes) -> int:
    """Bytes of the body that follows this head."""
    size = HEAD.unpack(head)[0]
    if size > MOST_BYTES:
        raise BadFrame(f"a frame of {size} bytes; {MOST_BYTES} is the most")
    return size


def unpacked(secret: bytes, head: bytes, body: bytes) -> dict:
    """The message of a frame; raises BadFrame where the seal doesn't fit or it is no object."""
    if not hmac.compare_digest(HEAD.unpack(head)[1], _seal(secret, body)):
        raise BadFrame("the seal doesn't fit")
    try:
        message = json.loads(body)
    except ValueError as error:
        raise BadFrame("no JSON") from error
    if not isinstance(message, dict):
        raise BadFrame("no object")
    return message


def _seal(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()
