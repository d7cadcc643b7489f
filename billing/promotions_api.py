"""/api/promotions: redeeming a code. Who is asking is attached as `request.caller`."""

from datetime import datetime

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema

from billing import promotions

router = Router(tags=["billing"])


class RedeemIn(Schema):
    code: str


class RedemptionOut(Schema):
    """What the code brought: promotional credits, in micro-credits, until they expire."""

    object: str = "redemption"
    code: str
    credits_micro: int
    expires_at: datetime
    line: int


@router.post("/promotions/redeem", response=RedemptionOut, summary="Redeem a promotion code")
def redeem(request: HttpRequest, asked: RedeemIn) -> dict:
    redemption = promotions.redeem(request.caller, asked.code, timezone.now())
    (brought,) = redemption.transaction.entries.filter(account__organization__isnull=False).select_related(
        "account"
    )
    return {
        "code": redemption.promotion.code,
        "credits_micro": brought.amount,
        "expires_at": brought.account.expires_at,
        "line": redemption.transaction_id,
    }
