"""/api/promotions: redeeming a code. Who is asking is attached as `request.caller`."""

from datetime import datetime

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from accounts.api.once import idempotency_key, once
from billing import promotions
from billing.models import Redemption

router = Router(tags=["billing"])


class RedeemIn(Schema):
    model_config = ConfigDict(extra="forbid", strict=True)

    code: str = Field(min_length=1, max_length=100, description="Upper or lower case, blanks don't count.")


class RedemptionOut(Schema):
    """What the code brought: promotional credits, in micro-credits, until they expire."""

    object: str = "redemption"
    code: str
    credits_micro: int
    expires_at: datetime
    line: int


@router.post("/promotions/redeem", response=RedemptionOut, summary="Redeem a promotion code")
def redeem(request: HttpRequest, asked: RedeemIn) -> dict:
    """Promotional credits that expire. Each code counts once for an organization."""
    caller = request.caller

    def make() -> dict:
        return _document(promotions.redeem(caller, asked.code, timezone.now()))

    return once(caller.organization, "promotions", idempotency_key(request), asked.dict(), make)


def _document(redemption: Redemption) -> dict:
    (brought,) = redemption.transaction.entries.filter(account__organization__isnull=False).select_related(
        "account"
    )
    return {
        "code": redemption.promotion.code,
        "credits_micro": brought.amount,
        "expires_at": brought.account.expires_at,
        "line": redemption.transaction_id,
    }
