"""Content credentials (C2PA): signing as a blocking gate with a budget. What can't be signed in time is not delivered.

Reading them is `verifying.py`; what they say is `manifests.py`; the keys are `signer_keys.py`.
"""

import io
import os
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import c2pa
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.operations import Severity, report
from safety.credentials import chain, manifests, seal, signer_keys, timestamp_service, verifying
from safety.credentials.manifests import AI_GENERATED, Claims, Ingredient, Signable
from safety.credentials.signers import SignerUnusable
from safety.credentials.verifying import (
    INVALID,
    MANIFEST_NOT_FOUND,
    NOT_A_VIDEO,
    TRUSTED,
    UNREADABLE,
    VALID,
    Verification,
    verify,
    verify_bytes,
)
from safety.models import Credential, Scan
from safety.postfilter.deadline import ask_all

__all__ = [
    "AI_GENERATED",
    "INVALID",
    "MANIFEST_NOT_FOUND",
    "NOT_A_VIDEO",
    "TRUSTED",
    "UNREADABLE",
    "VALID",
    "Claims",
    "Ingredient",
    "NotScanned",
    "ProvenanceError",
    "SigningUnavailable",
    "Verification",
    "check_expiry",
    "sign",
    "sign_picture",
    "verify",
    "verify_bytes",
]


class ProvenanceError(Exception):
    """The file was not signed, so it may not be delivered."""


class SigningUnavailable(ProvenanceError):
    """Signing doesn't work at the moment, or its result isn't Trusted; it may be tried again."""


class NotScanned(ProvenanceError):
    """No passed scan stands for exactly this file; as it is, it must never be signed."""


@dataclass(frozen=True)
class _Gate:
    """One signing under way: what is claimed of which file, and by when it has to be done."""

    claims: Claims
    file: Signable
    ends: float  # by the monotonic clock

    @property
    def left_s(self) -> float:
        return max(0.0, self.ends - time.monotonic())


def sign(source: Path | str, destination: Path | str, claims: Claims) -> Credential:
    """Sign a scanned clip, write it to `destination`, verify what was written, and store the credential.

    Raises NotScanned where no passed final scan of this subject and fence has the file's digest, and
    SigningUnavailable for everything else that keeps the result from being Trusted within SIGNING_BUDGET_SECONDS;
    then nothing is left at `destination` and staff are told.
    """
    ends = _ends()
    content = Path(source).read_bytes()
    file = Signable(content, manifests.VIDEO, "", 0)
    scan = _passed_scan(file.sha256, claims)
    gate = _Gate(claims, Signable(content, manifests.VIDEO, scan.digest, scan.policy_version), ends)
    return _passed(gate, Path(destination))


def sign_picture(
    content: bytes, media_type: str, destination: Path | str, claims: Claims, *, scanned_sha256: str
) -> Credential:
    """Sign a picture that was made from the frames of a scanned file, such as its thumbnail; raises as `sign` does."""
    scan = _passed_scan(scanned_sha256, claims)
    file = Signable(content, media_type, scan.digest, scan.policy_version)
    return _passed(_Gate(claims.without_ingredient(), file, _ends()), Path(destination))


def check_expiry(now: datetime) -> timedelta:
    """How long the certificate in force still lives; staff are told ahead. Run it daily. Raises SignerUnusable."""
    return signer_keys.watch_expiry(now)


def _ends() -> float:
    return time.monotonic() + settings.SIGNING_BUDGET_SECONDS


def _passed_scan(digest: str, claims: Claims) -> Scan:
    """The final scan that lets exactly this file out: it passed, or the gates left it to people, who cleared it."""
    passed = (
        Scan.objects.filter(
            Q(verdict=Scan.Result.PASS) | Q(verdict=Scan.Result.REVIEW, clearance__isnull=False),
            digest=digest,
            subject=claims.subject,
            fence=claims.fence,
            purpose=Scan.Purpose.FINAL,
        )
        .order_by("pk")
        .first()
    )
    if passed is None:
        _tell("signing.not_scanned", claims, {"sha256": digest})
        raise NotScanned("No passed scan stands for this file; it was not signed.")
    return passed


def _passed(gate: _Gate, destination: Path) -> Credential:
    """Through the gate: signed in time, written, read back as Trusted in time, and recorded."""
    now = timezone.now()
    try:
        key = signer_keys.active(now)
        stamps = timestamp_service.url(now)
        anchors = verifying.Anchors(key.anchors, timestamp_service.anchors(Path(settings.SIGNING_ROOT)))
    except (SignerUnusable, chain.ChainUnusable, OSError) as error:
        raise _unavailable(gate, str(error)) from error
    # The signer and the time-stamp service may hang, and native code can't be interrupted: it is left behind.
    (answer,) = ask_all([lambda: _signed(gate, key, stamps, anchors)], gate.left_s)
    if not isinstance(answer.result, bytes):
        raise _unavailable(gate, answer.failure or str(answer.result))
    _write(destination, answer.result)
    return _verified(gate, destination, answer.result, key.row.fingerprint)


def _signed(
    gate: _Gate, key: signer_keys.ActiveKey, stamps: str | None, anchors: verifying.Anchors
) -> bytes | Exception:
    """The file with its credentials and, a clip, with its seal; or what the signer or the time-stamp service raised."""
    sealing = seal.new_key() if gate.file.media_type == manifests.VIDEO else None
    definition = manifests.manifest(gate.claims, gate.file, seal.public_hex(sealing) if sealing else "")
    failures: list[Exception] = []

    def by_the_key(data: bytes) -> bytes:
        try:
            return key.signer.sign(data)
        except Exception as error:  # the library says only that it failed; the signer said why
            failures.append(error)
            raise

    output = io.BytesIO()
    try:
        with (
            verifying.context(anchors) as settings_of_it,
            c2pa.Signer.from_callback(
                by_the_key, c2pa.C2paSigningAlg.ES256, key.signer.certificates, stamps
            ) as signer,
            c2pa.Builder(definition, context=settings_of_it) as builder,
        ):
            _add_ingredient(builder, gate.claims)
            builder.sign(signer, gate.file.media_type, io.BytesIO(gate.file.content), output)
    except c2pa.C2paError as error:
        return failures[0] if failures else error
    return seal.sealed(output.getvalue(), sealing) if sealing else output.getvalue()


def _add_ingredient(builder: c2pa.Builder, claims: Claims) -> None:
    if claims.ingredient is None:
        return
    ingredient = Ingredient(*claims.ingredient)
    builder.add_resource("input.jpg", io.BytesIO(manifests.ingredient_thumbnail(ingredient)))
    builder.add_ingredient(
        manifests.ingredient_definition(), ingredient.media_type, io.BytesIO(ingredient.content)
    )


def _verified(gate: _Gate, path: Path, written: bytes, fingerprint: str) -> Credential:
    """Verify and hash the file as it lies there, and store how it read. Only Trusted and in time returns."""
    content = path.read_bytes()
    verification = verify_bytes(content)
    signed = Signable(content, gate.file.media_type, "", 0)
    if verification.state == TRUSTED and (content != written or not gate.left_s):
        path.unlink()
        raise _unavailable(gate, "it took longer than its budget" if content == written else "the disk lied")
    credential = Credential.objects.create(
        subject=gate.claims.subject,
        fence=gate.claims.fence,
        unsigned_digest=gate.file.sha256,
        scanned_digest=None if gate.file.scanned_sha256 == gate.file.sha256 else gate.file.scanned_sha256,
        signed_digest=signed.sha256,
        state=verification.state,
        manifest_label=verification.manifest_label,
        signer_fingerprint=fingerprint,
        claims=verification.claims,
        verified_at=timezone.now(),
    )
    if verification.state != TRUSTED:
        path.unlink()
        detail = {"state": verification.state, "reason": verification.reason[:500]}
        _tell("signing.not_trusted", gate.claims, detail)
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


def _unavailable(gate: _Gate, reason: str) -> SigningUnavailable:
    """Tell staff, and the error to raise."""
    _tell("signing.unavailable", gate.claims, {"reason": reason[:500]})
    return SigningUnavailable(reason)


def _tell(kind: str, claims: Claims, detail: dict) -> None:
    report(kind, Severity.ERROR, f"asset:{claims.subject}"[:200], detail | {"fence": claims.fence})
