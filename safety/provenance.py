"""Content credentials (C2PA): signing as a blocking gate, and verifying against this installation's anchors alone.

`Valid` is not enough: a stranger's signature over the same file also reads `Valid`. Only `Trusted` may be delivered.
"""

import hashlib
import io
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import av
import c2pa
from django.conf import settings
from django.utils import timezone

from accounts.operations import Severity, report
from safety import chain, seal
from safety.models import Credential, Scan

TRUSTED, VALID, INVALID = "Trusted", "Valid", "Invalid"
MANIFEST_NOT_FOUND, NOT_A_VIDEO, UNREADABLE = "ManifestNotFound", "NotAVideo", "Unreadable"

MEDIA_TYPE = "video/mp4"
GENERATION = "org.backlot.generation"  # the label of the assertion that holds what Backlot claims
AI_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
BUDGET_S = 1.0
EXPIRY_NOTICE = timedelta(days=30)


class ProvenanceError(Exception):
    """The file was not signed, so it may not be delivered."""


class SigningUnavailable(ProvenanceError):
    """Signing doesn't work at the moment, or its result isn't Trusted; it may be tried again."""


class NotScanned(ProvenanceError):
    """No passed scan stands for exactly this file; as it is, it must never be signed."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What the credentials of a clip are to say. The safety policy is added from the scan that the file passed."""

    subject: str  # the job, as the scan knows it
    fence: int
    model: str
    revision: str
    steps: int
    title: str = ""  # what a person reads, such as the public id


@dataclass(frozen=True, slots=True)
class Verification:
    """How a file's credentials read. `state` is Trusted, Valid, Invalid, ManifestNotFound, NotAVideo or Unreadable.

    `reason` says in words why it isn't Trusted. `claims` are only there where the manifest could be read; unless the
    state is Trusted, they are somebody's words.
    """

    state: str
    reason: str
    claims: dict = field(default_factory=dict)
    manifest_label: str = ""


def sign(source: Path | str, destination: Path | str, claims: Claims) -> Credential:
    """Sign a scanned file, write it to `destination`, verify what was written, and store the credential.

    Raises NotScanned where no passed final scan of this subject and fence has the file's digest, and
    SigningUnavailable for everything else that keeps the result from being Trusted; then nothing is left at
    `destination` and staff are told.
    """
    started = time.perf_counter()
    content = Path(source).read_bytes()
    scan = _passed_scan(hashlib.sha256(content).hexdigest(), claims)
    try:
        keys = chain.load(Path(settings.SIGNING_ROOT), timezone.now())
        signed = _signed(content, keys, claims, scan)
    except (chain.ChainUnusable, c2pa.C2paError, OSError) as error:
        _tell("signing.unavailable", claims, {"reason": str(error)[:500]})
        raise SigningUnavailable(str(error)) from error
    _write(Path(destination), signed)
    credential = _verified(Path(destination), claims, scan, keys.fingerprint)
    if (elapsed := time.perf_counter() - started) > BUDGET_S:
        report(
            "signing.slow", Severity.WARNING, f"asset:{claims.subject}"[:200], {"seconds": round(elapsed, 3)}
        )
    return credential


def verify(path: Path | str) -> Verification:
    """How the credentials of a file read against this installation's anchors; offline, and without the database."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return Verification(UNREADABLE, f"The file can't be read: {error.strerror}.")
    return verify_bytes(content)


def verify_bytes(content: bytes) -> Verification:
    """`verify` for content that has been read already."""
    try:
        anchors = chain.anchors(Path(settings.SIGNING_ROOT))
        with (
            _context(anchors) as context,
            c2pa.Reader(MEDIA_TYPE, io.BytesIO(content), context=context) as reader,
        ):
            state, store = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        if not _is_video(content):
            return Verification(NOT_A_VIDEO, "The file is no video.")
        return Verification(
            MANIFEST_NOT_FOUND, "The file carries no content credentials: never signed, or stripped."
        )
    except (c2pa.C2paError, OSError) as error:
        if not _is_video(content):
            return Verification(NOT_A_VIDEO, f"The file is no video: {error}.")
        return Verification(INVALID, f"The content credentials can't be read: {error}.")
    return _read(content, store, state if anchors else VALID)


def check_expiry(now: datetime) -> timedelta:
    """How long the signing certificate still lives; below 30 days on-call staff are told. Run it daily."""
    try:
        keys = chain.load(Path(settings.SIGNING_ROOT), now)
    except chain.ChainUnusable as error:
        report("signing.unavailable", Severity.CRITICAL, "certificate:development", {"reason": str(error)})
        raise
    left = keys.not_after - now
    if left < EXPIRY_NOTICE:
        detail = {"days_left": left.days, "not_after": keys.not_after.isoformat()}
        report("signing.certificate_expires", Severity.WARNING, f"certificate:{keys.fingerprint}", detail)
    return left


def _passed_scan(digest: str, claims: Claims) -> Scan:
    passed = Scan.objects.filter(
        digest=digest,
        subject=claims.subject,
        fence=claims.fence,
        purpose=Scan.Purpose.FINAL,
        verdict=Scan.Result.PASS,
    ).first()
    if passed is None:
        _tell("signing.not_scanned", claims, {"sha256": digest})
        raise NotScanned("No passed scan stands for this file; it was not signed.")
    return passed


def _signed(content: bytes, keys: chain.Chain, claims: Claims, scan: Scan) -> bytes:
    seal_key = seal.new_key()
    signer_info = c2pa.C2paSignerInfo(
        c2pa.C2paSigningAlg.ES256, keys.certificates.encode(), keys.private_key.encode(), None
    )
    output = io.BytesIO()
    with (
        _context(keys.anchors) as context,
        c2pa.Signer.from_info(signer_info) as signer,
        c2pa.Builder(_manifest(claims, scan, seal.public_hex(seal_key)), context=context) as builder,
    ):
        builder.sign(signer, MEDIA_TYPE, io.BytesIO(content), output)
    return seal.sealed(output.getvalue(), seal_key)


def _manifest(claims: Claims, scan: Scan, seal_public_key: str) -> dict:
    created = {
        "action": "c2pa.created",
        "digitalSourceType": AI_GENERATED,
        "softwareAgent": {"name": claims.model, "version": claims.revision},
    }
    generation = {
        "ai_generated": True,
        "model": claims.model,
        "revision": claims.revision,
        "steps": claims.steps,
        "job": claims.subject,
        "safety_policy_version": scan.policy_version,
        "scanned_sha256": scan.digest,
        "seal": seal_public_key,
    }
    return {
        "claim_generator_info": [{"name": "Backlot"}],
        "title": claims.title or claims.subject,
        "format": MEDIA_TYPE,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": GENERATION, "data": generation},
        ],
    }


def _context(anchors: str) -> c2pa.Context:
    """Settings for signing and verifying: our own anchors, and no network, whatever a file asks for."""
    config: dict = {"verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}}
    if anchors:
        config["trust"] = {"trust_anchors": anchors}
    return c2pa.Context.from_dict(config)


def _read(content: bytes, store: dict, state: str | None) -> Verification:
    label = store.get("active_manifest", "")
    manifest = store.get("manifests", {}).get(label, {})
    claims = _claims(manifest)
    if state == TRUSTED and not seal.is_whole(content, str(claims.get("seal", ""))):
        reason = "seal.mismatch: the file was changed outside the part that the manifest's own hash covers."
        return Verification(INVALID, reason, claims, label)
    if state == TRUSTED:
        return Verification(TRUSTED, "", claims, label)
    faults = "; ".join(
        f"{fault['code']}: {fault.get('explanation', '')}" for fault in store.get("validation_status", [])
    )
    if state == VALID:
        faults = f"Signed, but not by this installation ({faults or 'no anchor of its own yet'})."
    return Verification(state or INVALID, faults or "The manifest is not valid.", claims, label)


def _claims(manifest: dict) -> dict:
    """What the active manifest says, flat and in plain names."""
    claims: dict = {}
    for assertion in manifest.get("assertions", []):
        if assertion["label"] == GENERATION:
            claims |= assertion["data"]
        elif assertion["label"].startswith("c2pa.actions"):
            for action in assertion["data"].get("actions", []):
                if action.get("action") == "c2pa.created" and "digitalSourceType" in action:
                    claims["digital_source_type"] = action["digitalSourceType"]
    signature = manifest.get("signature_info", {})
    return claims | {"signed_by": signature.get("common_name", ""), "issuer": signature.get("issuer", "")}


def _verified(path: Path, claims: Claims, scan: Scan, fingerprint: str) -> Credential:
    """Verify and hash the file as it lies there, and store how it read. Only Trusted returns."""
    content = path.read_bytes()
    verification = verify_bytes(content)
    credential = Credential.objects.create(
        subject=claims.subject,
        fence=claims.fence,
        unsigned_digest=scan.digest,
        signed_digest=hashlib.sha256(content).hexdigest(),
        state=verification.state,
        manifest_label=verification.manifest_label,
        signer_fingerprint=fingerprint,
        claims=verification.claims,
        verified_at=timezone.now(),
    )
    if verification.state != TRUSTED:
        path.unlink()
        _tell(
            "signing.not_trusted", claims, {"state": verification.state, "reason": verification.reason[:500]}
        )
        raise SigningUnavailable(f"The signed file reads {verification.state}: {verification.reason}")
    return credential


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing: written beside the place, forced to disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _tell(kind: str, claims: Claims, detail: dict) -> None:
    report(kind, Severity.ERROR, f"asset:{claims.subject}"[:200], detail | {"fence": claims.fence})


def _is_video(content: bytes) -> bool:
    try:
        with av.open(io.BytesIO(content)) as container:
            return next(container.decode(video=0), None) is not None
    except (av.FFmpegError, IndexError, ValueError):
        return False
