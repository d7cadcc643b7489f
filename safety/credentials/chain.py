"""Signing chains as files: root → intermediate → leaf; and the installation's own for development, named as such.

A chain is a folder with leaf.pem, intermediate.pem, leaf.key and root.pem. The development chain is made at first start
under `SIGNING_ROOT/development`, folders 0700 and keys 0600. Anybody can make such a chain, so what it signs is trusted
by this installation alone; production brings a certificate of its own. All roots that were ever in force stay trusted:
those of `SIGNING_ROOT/development*`, `retired` and `anchors`, so that older clips keep verifying.
"""

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANIZATION = "Backlot development"
DEVELOPMENT = "development"  # the folder of the first development chain; later ones are development-2, -3, …
ANCHORS = ("development*/root.pem", "retired/*.pem", "anchors/*.pem")
# Without a time stamp a manifest turns from Trusted to Invalid when its leaf expires: the leaf outlives retention.
LEAF_LIFE = timedelta(days=730)
INTERMEDIATE_LIFE = timedelta(days=3650)
ROOT_LIFE = timedelta(days=7300)
CLOCK_SKEW = timedelta(days=1)  # a machine whose clock is hours behind signs with a chain that was made today


class ChainUnusable(Exception):
    """The chain on disk can't be used; the message says why and what to do."""


@dataclass(frozen=True)
class Chain:
    """What signing and verifying need. PEM text; `anchors` are roots."""

    certificates: str  # leaf, then intermediate
    private_key: str  # PKCS#8
    anchors: str
    fingerprint: str  # sha256 of the leaf certificate, hex
    not_after: datetime  # the leaf's


def load(signing_root: Path, now: datetime) -> Chain:
    """The chain, made if it isn't there yet. Raises ChainUnusable where it is expired, unreadable or open to others."""
    chain = read(ensure(signing_root, now))
    if now >= chain.not_after:
        raise ChainUnusable(f"The signing certificate expired on {chain.not_after:%Y-%m-%d}: renew it.")
    return replace(chain, anchors=anchors(signing_root))


def read(folder: Path) -> Chain:
    """A chain from its folder, expired or not; `anchors` is its own root. Raises ChainUnusable."""
    try:
        key_path = folder / "leaf.key"
        if key_path.stat().st_mode & 0o077:
            raise ChainUnusable(
                f"The signing key {key_path.name} can be read by others: chmod 600 it, then renew it."
            )
        leaf_pem = (folder / "leaf.pem").read_text()
        leaf = x509.load_pem_x509_certificate(leaf_pem.encode())
        return Chain(
            certificates=leaf_pem + (folder / "intermediate.pem").read_text(),
            private_key=key_path.read_text(),
            anchors=(folder / "root.pem").read_text(),
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            not_after=leaf.not_valid_after_utc,
        )
    except (OSError, ValueError) as error:
        raise ChainUnusable(f"The signing chain can't be read: {error}") from error


def anchors(signing_root: Path) -> str:
    """The PEM of every root this installation trusts or has trusted; "" where it has none yet."""
    paths = [path for pattern in ANCHORS for path in sorted(signing_root.glob(pattern))]
    return "".join(path.read_text() for path in paths)


def ensure(signing_root: Path, now: datetime, name: str = DEVELOPMENT) -> Path:
    """The folder of a development chain. Of several processes that make it at once, one wins and all use its chain."""
    return made_once(signing_root / name, lambda draft: _write_chain(draft, now))


def _write_chain(folder: Path, now: datetime) -> None:
    installation = secrets.token_hex(4)  # tells the roots of two installations apart
    root_key, intermediate_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root_name = _name(f"Backlot development root {installation}")
    intermediate_name = _name(f"Backlot development intermediate {installation}")
    leaf_name = _name(f"Backlot development signer {installation}")
    root = _authority(root_name, root_key.public_key(), root_name, root_key, now, ROOT_LIFE, path_length=1)
    intermediate = _authority(
        intermediate_name,
        intermediate_key.public_key(),
        root_name,
        root_key,
        now,
        INTERMEDIATE_LIFE,
        path_length=0,
    )
    leaf = _leaf(leaf_name, leaf_key.public_key(), intermediate_name, intermediate_key, now)
    for name, certificate, key in (
        ("root", root, root_key),
        ("intermediate", intermediate, intermediate_key),
        ("leaf", leaf, leaf_key),
    ):
        _write(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))
        _write(folder / f"{name}.key", _private(key))


def is_development(certificate: x509.Certificate) -> bool:
    """Whether a certificate comes from a chain that an installation made for itself."""
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return any(name.value == ORGANIZATION for name in names)


def stamping_chain(folder: Path, now: datetime) -> None:
    """Write the root, the certificate and the key of a time-stamp authority of the installation's own."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    installation = secrets.token_hex(4)
    root_name = _name(f"Backlot development time-stamp root {installation}")
    root = _authority(root_name, root_key.public_key(), root_name, root_key, now, ROOT_LIFE, path_length=0)
    stamping = (
        _certificate(
            _name(f"Backlot development time stamps {installation}"),
            key.public_key(), root_name, root_key, now, ROOT_LIFE,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        # RFC 3161, 2.3: this usage alone, and critical.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(root_key, hashes.SHA256())
    )  # fmt: skip
    _write(folder / "root.pem", root.public_bytes(serialization.Encoding.PEM))
    _write(folder / "stamp.pem", stamping.public_bytes(serialization.Encoding.PEM))
    _write(folder / "stamp.key", _private(key))


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder, made whole by `make` or not at all. Of several processes that make it at once, one wins."""
    if folder.exists():
        return folder
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder.parent / f".draft-{secrets.token_hex(8)}"
    draft.mkdir(mode=0o700)
    try:
        make(draft)
        # Renaming onto a folder that isn't empty fails: what stands there is complete and stays.
        draft.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def kept(path: Path, content: str) -> None:
    """Write a public file whole where it isn't there yet, whoever else does the same."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.write_text(content)
    draft.replace(path)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
        ]
    )


def _authority(subject, public_key, issuer, issuer_key, now, life, *, path_length: int) -> x509.Certificate:
    return (
        _certificate(subject, public_key, issuer, issuer_key, now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _leaf(subject, public_key, issuer, issuer_key, now) -> x509.Certificate:
    """What C2PA asks of a signer: digitalSignature, e-mail protection, not an authority."""
    return (
        _certificate(subject, public_key, issuer, issuer_key, now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _certificate(subject, public_key, issuer, issuer_key, now, life) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
