"""The gate at sign-up: who may make an organization today, and by whose invitation.

`look` tells a visitor how things stand and changes nothing; `enter` decides, inside the transaction that makes the
organization. What may not be overrun is held by the database: a code's uses are counted under its row lock, the
day's organizations by the trigger of `Registration`.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.db import IntegrityError
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts import outbox
from accounts.errors import ApiError
from accounts.joining import DAILY_CAP
from accounts.models import InvitationCode, Organization, Registration, SignUpDay, SignUpPolicy, User

CODE_BYTES = 15  # 120 random bits: 24 letters and digits
NOT_IN_CODE = re.compile(r"[^A-Z2-7]")
CODE_REQUIRED = (
    "Backlot is by invitation for now. Enter the code from your invitation; without one, ask whoever runs this "
    "installation."
)
CODE_INVALID = (
    "This code is not known, was used up, has expired or was withdrawn. Check it against your invitation, or ask "
    "whoever sent it for another. No account was made."
)


@dataclass(frozen=True)
class Standing:
    """How the gate stands now. `cap` is None without one; `opens_in_s` counts to the next day of a full one."""

    invite_only: bool
    cap: int | None
    made_today: int
    opens_in_s: int

    @property
    def full(self) -> bool:
        return self.cap is not None and self.made_today >= self.cap


def policy() -> SignUpPolicy:
    """The newest row, which counts."""
    return SignUpPolicy.objects.latest("id")


def look(now: datetime) -> Standing:
    """How things stand at `now`; two queries."""
    rules, today = policy(), now.astimezone(UTC).date()
    day = SignUpDay.objects.filter(day=today).first()
    midnight = datetime.combine(today + timedelta(days=1), time(), UTC)
    opens_in_s = max(1, int((midnight - now).total_seconds()))
    return Standing(rules.invite_only, rules.daily_cap, day.made if day else 0, opens_in_s)


def check(code: str, now: datetime) -> None:
    """Refuse early what `enter` would refuse, in the words it would use. Counts nothing, promises nothing."""
    standing = look(now)
    if standing.full:
        raise cap_reached(standing)
    if code.strip():
        if not _open_codes(code).exists():
            raise ApiError("invitation_invalid", CODE_INVALID, param="invitation")
    elif standing.invite_only:
        raise ApiError("invitation_required", CODE_REQUIRED, param="invitation")


def enter(organization: Organization, person: User, code: str, now: datetime) -> Registration:
    """Count a new organization in, under the cap and the code's uses; inside the transaction that made it.

    Emits `organization.created` with the cohort and its credit, for whoever grants it. Raises `ApiError`
    invitation_required, invitation_invalid or sign_up_cap_reached; the caller's transaction must then roll back.
    """
    used = _use(code) if code.strip() else None
    if used is None and policy().invite_only:
        raise ApiError("invitation_required", CODE_REQUIRED, param="invitation")
    try:
        registration = Registration.objects.create(organization=organization, person=person, code=used)
    except IntegrityError as refusal:
        if DAILY_CAP not in str(refusal) and _constraint(refusal) != DAILY_CAP:
            raise
        raise ApiError("sign_up_cap_reached", "The places of today are taken.") from refusal
    cohort = used.cohort if used else None
    payload = {
        "organization": organization.pk,
        "person": person.pk,
        "cohort": cohort.pk if cohort else None,
        "cohort_name": cohort.name if cohort else None,
        "credit_micro": cohort.credit_micro if cohort else 0,
        "credit_days": cohort.credit_days if cohort else None,
        "at": now.isoformat(),
    }
    outbox.emit("organization.created", str(organization.pk), payload, organization_id=organization.pk)
    return registration


def cap_reached(standing: Standing) -> ApiError:
    """The refusal with when to come back: the cap begins anew at midnight UTC."""
    hours, minutes = standing.opens_in_s // 3600, standing.opens_in_s % 3600 // 60
    wait = f"{hours} h {minutes} min" if hours else f"{minutes + 1} min"
    message = (
        f"The {standing.cap} places for new organizations of today are taken. Come back after 00:00 UTC, in {wait}; "
        "your invitation stays good until it expires. No account was made."
    )
    return ApiError("sign_up_cap_reached", message, retry_after_s=standing.opens_in_s)


def new_code() -> tuple[str, str]:
    """A code as it is shown, in groups of four, and the digest that is stored of it."""
    letters = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()
    shown = "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))
    return shown, digest_of(shown)


def digest_of(code: str) -> str:
    """sha256 in hex of the letters and digits alone: case, blanks and hyphens don't matter to who types it."""
    return hashlib.sha256(NOT_IN_CODE.sub("", code.upper()).encode()).hexdigest()


def _open_codes(code: str):
    live = Q(revoked_at__isnull=True, cohort__closed_at__isnull=True, expires_at__gt=Now())
    return InvitationCode.objects.filter(live, digest=digest_of(code), uses__lt=F("max_uses"))


def _use(code: str) -> InvitationCode:
    """Count one use under the row's lock; two who share the last use are served one after the other."""
    found = _open_codes(code).select_for_update(of=("self",)).select_related("cohort").first()
    if found is None or not InvitationCode.objects.filter(pk=found.pk, uses__lt=F("max_uses")).update(
        uses=F("uses") + 1
    ):
        raise ApiError("invitation_invalid", CODE_INVALID, param="invitation")
    return found


def _constraint(error: IntegrityError) -> str | None:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
