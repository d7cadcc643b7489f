"""The key in force: the row that says so, the signer behind it, and the anchors that outlive it.

Every signing reads the row, so a rotation is in force at the next one, in every worker.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts.operations import Severity, report
from safety.credentials import chain, signers
from safety.credentials.signers import Leaf, Signer, SignerUnusable
from safety.models import SignerKey

State = SignerKey.State
BY_ITSELF = "signing"  # the author of what no person registered
UNDO_FOR = timedelta(days=7)  # how long a rotation can be undone; then the old key is retired
LAST_WARNING = timedelta(days=7)


@dataclass(frozen=True)
class ActiveKey:
    """The signer in force, with what its row says."""

    row: SignerKey
    signer: Signer
    anchors: str  # every root that was ever in force here


def active(now: datetime) -> ActiveKey:
    """The key that signs now; the first call of an installation registers the one its settings name.

    Raises SignerUnusable where it can't be read, is another one than was registered, or has expired.
    """
    row = SignerKey.objects.filter(state=State.ACTIVE).first() or _first(now)
    root = Path(settings.SIGNING_ROOT)
    if row.development and row.source == signers.FILE and not Path(row.location).is_absolute():
        _make_development(root, row.location, now)
    signer = _opened(row.source, row.location)
    leaf = signers.leaf_of(_certificates(signer))
    if leaf.fingerprint != row.fingerprint:
        row = _another(row, signer, leaf, now)
    if now >= row.not_after:
        raise SignerUnusable(
            f"The signing certificate expired on {row.not_after:%Y-%m-%d}: rotate the signer."
        )
    keep_anchors(root)
    return ActiveKey(row, signer, chain.anchors(root))


def register(source: str, location: str, author: str, reason: str) -> SignerKey:
    """A row for the signer at a place, active from now on; inside the caller's transaction.

    Raises SignerUnusable, and IntegrityError where another is active or the key was registered before.
    """
    signer = _opened(source, location)
    certificates = _certificates(signer)
    return _row(source, location, certificates, signer.anchors, signers.leaf_of(certificates), author, reason)


def keep_anchors(root: Path) -> None:
    """Write the anchors of every registered key to where verifying reads them, those of other machines too."""
    for fingerprint, anchors in SignerKey.objects.values_list("fingerprint", "anchors"):
        chain.kept(root / "anchors" / f"{fingerprint}.pem", anchors)


def retire_old(now: datetime) -> int:
    """Keys whose rotation can no longer be undone; how many were retired. Their anchors stay."""
    due = SignerKey.objects.filter(state=State.RETIRING, retiring_at__lt=now - UNDO_FOR)
    return due.update(state=State.RETIRED, retired_at=Now())


def watch_expiry(now: datetime) -> timedelta:
    """How long the certificate in force still lives; on-call staff are told ahead, and louder in the last week.

    Raises SignerUnusable where nothing can be signed at all.
    """
    try:
        row = active(now).row
    except (SignerUnusable, OSError) as error:
        report("signing.unavailable", Severity.CRITICAL, "signer:active", {"reason": str(error)[:500]})
        raise
    left = row.not_after - now
    if left < timedelta(days=settings.SIGNING_EXPIRY_NOTICE_DAYS):
        detail = {"days_left": left.days, "not_after": row.not_after.isoformat(), "subject": row.subject}
        severity = Severity.CRITICAL if left < LAST_WARNING else Severity.WARNING
        report("signing.certificate_expires", severity, f"certificate:{row.fingerprint}", detail)
    return left


def next_development(root: Path) -> str:
    """The name of the folder that the next development chain gets."""
    taken = {path.name for path in root.glob(f"{chain.DEVELOPMENT}*")}
    taken |= set(SignerKey.objects.filter(development=True).values_list("location", flat=True))
    number = 2
    while f"{chain.DEVELOPMENT}-{number}" in taken:
        number += 1
    return f"{chain.DEVELOPMENT}-{number}"


def _first(now: datetime) -> SignerKey:
    """Of several processes that register the first key at once, one does; all use it."""
    source, _, location = settings.SIGNING_KEY.partition(":")
    if source == chain.DEVELOPMENT:
        source, location = signers.FILE, chain.DEVELOPMENT
        _make_development(Path(settings.SIGNING_ROOT), location, now)
    try:
        with transaction.atomic():
            return register(source, location, BY_ITSELF, "the key that the settings name, at first use")
    except IntegrityError:
        return SignerKey.objects.get(state=State.ACTIVE)


def _another(row: SignerKey, signer: Signer, leaf: Leaf, now: datetime) -> SignerKey:
    """Another key lies where the registered one lay. Only a development chain may be replaced like that."""
    if not (row.development and leaf.development and row.source == signers.FILE):
        raise SignerUnusable(
            f"The key at {row.source}:{row.location} is another one than was registered: rotate the signer."
        )
    with transaction.atomic():
        SignerKey.objects.filter(pk=row.pk, state=State.ACTIVE).update(state=State.RETIRED, retired_at=Now())
        detail = {"was": row.fingerprint, "is": leaf.fingerprint}
        report("signing.key_changed", Severity.WARNING, "signer:active", detail)
        known = SignerKey.objects.filter(fingerprint=leaf.fingerprint).first()
        if known is not None:
            raise SignerUnusable("The key that lies there was retired before: rotate the signer.")
        reason = "its folder was made anew"
        return _row(row.source, row.location, _certificates(signer), signer.anchors, leaf, BY_ITSELF, reason)


def _row(
    source: str, location: str, certificates: str, anchors: str, leaf: Leaf, author: str, reason: str
) -> SignerKey:
    return SignerKey.objects.create(
        source=source,
        location=location,
        certificates=certificates,
        anchors=anchors,
        fingerprint=leaf.fingerprint,
        subject=leaf.subject,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        development=leaf.development,
        author=author,
        reason=reason,
    )


def _opened(source: str, location: str) -> Signer:
    return signers.open_signer(source, location, Path(settings.SIGNING_ROOT))


def _certificates(signer: Signer) -> str:
    """A signer far away may not answer: that is a signer that can't be used."""
    try:
        return signer.certificates
    except OSError as error:
        raise SignerUnusable(f"The signer does not answer: {error}") from error


def _make_development(root: Path, location: str, now: datetime) -> None:
    try:
        chain.ensure(root, now, location)
    except OSError as error:
        raise SignerUnusable(f"The development chain can't be made: {error}") from error
