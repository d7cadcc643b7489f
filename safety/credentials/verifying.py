"""Reading a file's content credentials, against this installation's anchors alone and without any network.

`Valid` is not enough: a stranger's signature over the same file also reads `Valid`. Only `Trusted` may be delivered.
"""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import av
import c2pa
from django.conf import settings

from safety.credentials import chain, manifests, seal, timestamp_service

TRUSTED, VALID, INVALID = "Trusted", "Valid", "Invalid"
MANIFEST_NOT_FOUND, NOT_A_VIDEO, UNREADABLE = "ManifestNotFound", "NotAVideo", "Unreadable"

# The library names the list in which it found an anchor. It takes any list for any purpose, so we look at the name.
SIGNERS, TIME_STAMPS = "backlot:signers", "backlot:time-stamps"


@dataclass(frozen=True)
class Verification:
    """How a file's credentials read. `state` is Trusted, Valid, Invalid, ManifestNotFound, NotAVideo or Unreadable.

    `reason` says in words why it isn't Trusted. `claims` are only there where the manifest could be read; unless the
    state is Trusted, they are somebody's words. `ingredient` is a JPEG or PNG of the picture that it was made from.
    """

    state: str
    reason: str
    claims: dict = field(default_factory=dict)
    manifest_label: str = ""
    ingredient: bytes = b""


@dataclass(frozen=True)
class Anchors:
    """PEM of the roots that signatures and that time stamps may rest on; "" where there are none yet."""

    signers: str
    time_stamps: str

    def as_settings(self) -> list[dict]:
        named = ((SIGNERS, "manifest", self.signers), (TIME_STAMPS, "tsa", self.time_stamps))
        return [
            {"trust_uri": uri, "trust_kind": kind, "trust_anchors": pem} for uri, kind, pem in named if pem
        ]


def verify(path: Path | str) -> Verification:
    """How the credentials of a file read against this installation's anchors; offline, and without the database."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return Verification(UNREADABLE, f"The file can't be read: {error.strerror}.")
    return verify_bytes(content)


def verify_bytes(content: bytes, *, decode: bool = True) -> Verification:
    """`verify` for content that was read already. `decode` tells a damaged film from what is none by decoding it."""
    anchors = installed_anchors()
    media_type = media_type_of(content)
    try:
        with (
            context(anchors) as reading,
            c2pa.Reader(media_type or manifests.VIDEO, io.BytesIO(content), context=reading) as reader,
        ):
            state, store = reader.get_validation_state(), json.loads(reader.json())
            picture = _ingredient(reader, store)
    except c2pa.C2paError.ManifestNotFound:
        if not _is_media(content, media_type, decode):
            return Verification(NOT_A_VIDEO, "The file is no video.")
        return Verification(
            MANIFEST_NOT_FOUND, "The file carries no content credentials: never signed, or stripped."
        )
    except (c2pa.C2paError, OSError, ValueError) as error:
        if not _is_media(content, media_type, decode):
            return Verification(NOT_A_VIDEO, f"The file is no video: {error}.")
        return Verification(INVALID, f"The content credentials can't be read: {error}.")
    if not anchors.signers:
        state = VALID
    return _read(content, media_type, store, state, picture)


def installed_anchors() -> Anchors:
    """Those of the files in SIGNING_ROOT. Unreadable ones are as good as none: nothing is trusted then."""
    root = Path(settings.SIGNING_ROOT)
    try:
        return Anchors(chain.anchors(root), timestamp_service.anchors(root))
    except OSError:
        return Anchors("", "")


def context(anchors: Anchors) -> c2pa.Context:
    """Settings for signing and verifying: our own anchors, and no network, whatever a file asks for."""
    return c2pa.Context.from_dict(
        {
            "verify": {
                "verify_trust": True,
                "verify_timestamp_trust": True,
                "remote_manifest_fetch": False,
                "ocsp_fetch": False,
            },
            "builder": {"thumbnail": {"enabled": False}},
            "trust": {"anchors": anchors.as_settings()},
        }
    )


def media_type_of(content: bytes) -> str:
    """The MIME type by the first bytes, of what this installation signs; "" for anything else."""
    if content[4:8] == b"ftyp":
        return manifests.VIDEO
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return ""


def _read(content: bytes, media_type: str, store: dict, state: str | None, picture: bytes) -> Verification:
    label = store.get("active_manifest", "")
    claims = manifests.claims_of(store.get("manifests", {}).get(label, {}))
    if state == TRUSTED and not _signer_is_ours(store):
        state = VALID
    sealed = media_type == manifests.VIDEO
    if state == TRUSTED and sealed and not seal.is_whole(content, str(claims.get("seal", ""))):
        reason = "seal.mismatch: the file was changed outside the part that the manifest's own hash covers."
        return Verification(INVALID, reason, claims, label, picture)
    if state == TRUSTED:
        return Verification(TRUSTED, "", claims, label, picture)
    faults = "; ".join(
        f"{fault['code']}: {fault.get('explanation', '')}" for fault in store.get("validation_status", [])
    )
    if state == VALID:
        faults = f"Signed, but not by this installation ({faults or 'no anchor of its own yet'})."
    return Verification(state or INVALID, faults or "The manifest is not valid.", claims, label, picture)


def _signer_is_ours(store: dict) -> bool:
    """Did the signature's certificate lead to an anchor for signers? One for time stamps doesn't count."""
    found = store.get("validation_results", {}).get("activeManifest", {}).get("success", [])
    return any(
        one.get("code") == "signingCredential.trusted" and f"[{SIGNERS}]" in one.get("explanation", "")
        for one in found
    )


def _ingredient(reader: c2pa.Reader, store: dict) -> bytes:
    """The thumbnail of the first picture that the file says it was made from."""
    active = store.get("manifests", {}).get(store.get("active_manifest", ""), {})
    for ingredient in active.get("ingredients", []):
        thumbnail = ingredient.get("thumbnail", {})
        if thumbnail.get("format") in ("image/jpeg", "image/png") and thumbnail.get("identifier"):
            output = io.BytesIO()
            reader.resource_to_stream(thumbnail["identifier"], output)
            return output.getvalue()
    return b""


def _is_media(content: bytes, media_type: str, decode: bool) -> bool:
    if media_type != manifests.VIDEO or not decode:
        return bool(media_type)
    try:
        with av.open(io.BytesIO(content)) as container:
            return next(container.decode(video=0), None) is not None
    except (av.FFmpegError, IndexError, ValueError):
        return False
