"""Rotating the signer: what an operator sees before, what changes, and the way back."""

from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from safety.credentials import chain, signer_keys, signers
from safety.credentials.signers import SignerUnusable
from safety.models import Credential, SignerKey
from safety.postfilter.deadline import ask_all

State = SignerKey.State
NEW_DEVELOPMENT = "development"  # the source that makes a new chain of the installation's own
SOURCES = (NEW_DEVELOPMENT, signers.FILE, signers.ENVIRONMENT, signers.CALLBACK)


class RotateSigner(Action):
    """Sign with another key from the next signing on, in every worker. What the old one signed stays Trusted.

    `source` is development (a new chain is made), file, environment or callback; `location` says where for the others.
    """

    name = "signer.rotate"
    title = "Rotate the signer"
    role = StaffRole.Role.TRUST_SAFETY
    target = "signer:active"

    def __init__(self, source: str, location: str = "") -> None:
        if source not in SOURCES:
            raise ApiError("invalid_value", f"Choose one of {', '.join(SOURCES)}.", param="source")
        if source != NEW_DEVELOPMENT and not location.strip():
            raise ApiError("missing_required_parameter", "Say where the new key lies.", param="location")
        self.source, self.location = source, location.strip()

    def preview(self) -> Preview:
        """Asks the new signer for one signature and checks it; changes nothing."""
        now = timezone.now()
        old = SignerKey.objects.filter(state=State.ACTIVE).first()
        before = shown(old) if old else {}
        signed = Credential.objects.filter(signer_fingerprint=old.fingerprint).count() if old else 0
        kept = f"{signed:,} signatures of the present key stay Trusted: its anchors are kept."
        if self.source == NEW_DEVELOPMENT:
            sentence = f"A new development key is made and signs from the next signing on. {kept}"
            return Preview(before, {"source": NEW_DEVELOPMENT}, sentence)
        leaf = self._tried(now)
        after = {"source": self.source, "location": self.location, "subject": leaf.subject}
        after |= {"fingerprint": leaf.fingerprint, "not_after": leaf.not_after.isoformat()}
        mark = " It is a development key." if leaf.development else ""
        sentence = (
            f"{leaf.subject} signs from the next signing on, until {leaf.not_after:%Y-%m-%d}.{mark} {kept}"
        )
        return Preview(before, after, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "A rotation doesn't expire; undo it instead.", param="expires_at")
        now = timezone.now()
        old = SignerKey.objects.select_for_update().filter(state=State.ACTIVE).first()
        if old is None:
            raise ApiError("not_ready", "Nothing was signed yet, so there is no key to rotate.")
        source, location = self._place(now)
        SignerKey.objects.filter(state=State.RETIRING).update(state=State.RETIRED, retired_at=Now())
        SignerKey.objects.filter(pk=old.pk).update(state=State.RETIRING, retiring_at=Now())
        try:
            with transaction.atomic():
                new = signer_keys.register(source, location, actor.email, reason)
        except IntegrityError as error:
            message = "That key was registered before. A key that was in force once is not used again."
            raise ApiError("invalid_value", message, param="location") from error
        except SignerUnusable as error:
            raise ApiError("invalid_value", str(error), param="location") from error
        signer_keys.keep_anchors(Path(settings.SIGNING_ROOT))
        return {"before": shown(old), "after": shown(new), "undo": {"old": old.pk, "new": new.pk}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """Sign with the old key again; possible until it is retired. The new one is retired at once."""
        rows = {row.pk: row for row in SignerKey.objects.select_for_update().filter(pk__in=undo.values())}
        old, new = rows[undo["old"]], rows[undo["new"]]
        if old.state != State.RETIRING or new.state != State.ACTIVE:
            raise ApiError(
                "already_decided", "The old key was retired, or another rotation came after this one."
            )
        SignerKey.objects.filter(pk=new.pk).update(state=State.RETIRED, retired_at=Now())
        SignerKey.objects.filter(pk=old.pk).update(state=State.ACTIVE, retiring_at=None)
        return {"before": shown(new), "after": shown(old), "undo": None}

    def _place(self, now: datetime) -> tuple[str, str]:
        """Where the new key lies; a development chain is made here, any other one is tried once more."""
        if self.source != NEW_DEVELOPMENT:
            self._tried(now)
            return self.source, self.location
        root = Path(settings.SIGNING_ROOT)
        location = signer_keys.next_development(root)
        try:
            chain.ensure(root, now, location)
        except OSError as error:
            raise ApiError("not_ready", f"The new chain can't be written: {error}") from error
        return signers.FILE, location

    def _tried(self, now: datetime) -> signers.Leaf:
        """One signature by the new key, in time and by the key of its certificate. Raises ApiError."""
        (answer,) = ask_all([self._probed], settings.SIGNING_BUDGET_SECONDS)
        if not isinstance(answer.result, signers.Leaf):
            problem = (answer.failure or "").removeprefix("SignerUnusable: ")
            raise ApiError("invalid_value", f"The new signer can't be used: {problem}", param="location")
        leaf = answer.result
        if not leaf.not_before <= now < leaf.not_after:
            raise ApiError("invalid_value", f"Its certificate is in force {span(leaf)}.", param="location")
        return leaf

    def _probed(self) -> signers.Leaf:
        signer = signers.open_signer(self.source, self.location, Path(settings.SIGNING_ROOT))
        signers.probe(signer)
        return signers.leaf_of(signer.certificates)


def span(leaf: signers.Leaf) -> str:
    """The days within which a certificate holds."""
    return f"from {leaf.not_before:%Y-%m-%d} to {leaf.not_after:%Y-%m-%d}"


def shown(row: SignerKey) -> dict:
    """A key as the audit log keeps it."""
    return {
        "key": row.pk,
        "source": row.source,
        "location": row.location,
        "subject": row.subject,
        "fingerprint": row.fingerprint,
        "not_after": row.not_after.isoformat(),
    }
