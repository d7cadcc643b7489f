"""What signs: a key from files, from the environment, or behind a callback (a KMS or an HSM that keeps it to itself).

All of them sign by ES256 (ECDSA over P-256 with SHA-256) and answer with r and s as 32 bytes each, one after the other.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from django.utils.module_loading import import_string

from safety.credentials import chain

FILE, ENVIRONMENT, CALLBACK = "file", "environment", "callback"
HALF = 32  # bytes of r and of s
PROBE = b"Backlot asks its signer for one signature before it trusts it with a clip."


class SignerUnusable(Exception):
    """The signer can't be used; the message says why and what to do."""


class Signer(Protocol):
    """A key and its certificates. `sign` may take its time or fail in any way: its caller has a deadline."""

    @property
    def certificates(self) -> str:
        """PEM: the leaf, then what leads from it to an anchor."""

    @property
    def anchors(self) -> str:
        """PEM of the roots."""

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`: r and s, 64 bytes together."""


@dataclass(frozen=True)
class PemSigner:
    """A private key in memory, PEM (PKCS#8)."""

    certificates: str
    anchors: str
    private_key: str

    def sign(self, data: bytes) -> bytes:
        key = serialization.load_pem_private_key(self.private_key.encode(), password=None)
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(HALF) + s.to_bytes(HALF)


@dataclass(frozen=True)
class Leaf:
    """What the certificate of a signer says about itself."""

    fingerprint: str  # sha256, hex
    subject: str
    not_before: datetime
    not_after: datetime
    development: bool


def open_signer(source: str, location: str, signing_root: Path) -> Signer:
    """The signer at a place. Raises SignerUnusable; asks the key for nothing yet."""
    if source == FILE:
        return _from_files(signing_root / location)
    if source == ENVIRONMENT:
        return _from_environment(location)
    try:
        return import_string(location)()
    except (ImportError, TypeError, ValueError, OSError) as error:
        raise SignerUnusable(f"The callback {location} can't be made: {error}") from error


def leaf_of(certificates: str) -> Leaf:
    """What the first certificate says. Raises SignerUnusable."""
    try:
        leaf = x509.load_pem_x509_certificate(certificates.encode())
    except ValueError as error:
        raise SignerUnusable(f"The signing certificate can't be read: {error}") from error
    return Leaf(
        leaf.fingerprint(hashes.SHA256()).hex(),
        leaf.subject.rfc4514_string()[:300],
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        chain.is_development(leaf),
    )


def probe(signer: Signer) -> None:
    """Ask for one signature and check it against the certificate. Raises SignerUnusable, and what the signer raises."""
    signature = signer.sign(PROBE)
    key = x509.load_pem_x509_certificate(signer.certificates.encode()).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignerUnusable("The certificate's key is not on the curve P-256; signatures are ES256.")
    if len(signature) != 2 * HALF:
        raise SignerUnusable(f"The signer answers {len(signature)} bytes; r and s are 32 each, unwrapped.")
    r, s = int.from_bytes(signature[:HALF]), int.from_bytes(signature[HALF:])
    try:
        key.verify(encode_dss_signature(r, s), PROBE, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise SignerUnusable("The signer's key does not belong to its certificate.") from error


def _from_files(folder: Path) -> Signer:
    try:
        read = chain.read(folder)
    except chain.ChainUnusable as error:
        raise SignerUnusable(str(error)) from error
    return PemSigner(read.certificates, read.anchors, read.private_key)


def _from_environment(prefix: str) -> Signer:
    names = [f"{prefix}_{part}" for part in ("CERTIFICATES", "ANCHORS", "KEY")]
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise SignerUnusable(f"{', '.join(missing)}: not set in this process's environment.")
    return PemSigner(*(os.environ[name] for name in names))
