"""Promotion codes, as a customer uses them: each once per organization, and never more often than it was made for.

How codes are made and switched off is in actions/promotion_codes.py.
"""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.errors import ApiError
from accounts.identity import Caller
from billing import ledger
from billing.models import Account, PromotionCode, Redemption

NOTHING = "Nothing was credited."


@transaction.atomic
def redeem(caller: Caller, code: str, at: datetime) -> Redemption:
    """Give the caller's organization the credits of a code, as promotional credits that expire.

    Serialized on the wallet and then on the code, so that neither the last redemption of a code nor an organization's
    own can be had twice; the database refuses both as well. Raises `ApiError`: insufficient_scope without the scope
    billing, invalid_value (param code) for a code that is unknown, not valid now or used up, already_decided for one
    that the organization has used before.
    """
    caller.require("billing")
    organization_id = caller.organization.pk
    ledger.open_books(organization_id)
    promotion = PromotionCode.objects.select_for_update().filter(code=normal(code)).first()
    _check(promotion, organization_id, at)
    granted = ledger.grant(
        organization_id,
        promotion.credits_micro,
        bucket=Account.Kind.PROMOTIONAL,
        idempotency_key=f"promotion:{promotion.pk}",
        reason=f"Promotion code {promotion.code}",
        expires_at=at + timedelta(days=promotion.credits_last_days),
        actor=caller.user or f"API key {caller.api_key.prefix}",
        at=at,
    )
    return Redemption.objects.create(
        promotion=promotion,
        organization_id=organization_id,
        transaction=granted,
        user=caller.user,
        at=at,
    )


def normal(code: str) -> str:
    """A code as it is stored: upper case, without the blanks that copying brings along."""
    return "".join(code.split()).upper()


def _check(promotion: PromotionCode | None, organization_id: int, at: datetime) -> None:
    """Refuse what can't be redeemed; the row is locked."""
    if promotion is None:
        raise _refused(f"There is no such code. Check its spelling. {NOTHING}")
    if Redemption.objects.filter(promotion=promotion, organization_id=organization_id).exists():
        message = f"Your organization has used {promotion.code} before: it counts once. {NOTHING}"
        raise ApiError("already_decided", message, param="code")
    if at < promotion.valid_from:
        raise _refused(
            f"{promotion.code} is valid from {promotion.valid_from:%Y-%m-%d %H:%M} UTC on. {NOTHING}"
        )
    if at >= promotion.valid_until or promotion.withdrawn_at is not None:
        raise _refused(f"{promotion.code} is no longer valid. {NOTHING}")
    if promotion.redemptions.count() >= promotion.max_redemptions:
        raise _refused(f"{promotion.code} has been used as often as it may be. {NOTHING}")


def _refused(message: str) -> ApiError:
    return ApiError("invalid_value", message, param="code")
