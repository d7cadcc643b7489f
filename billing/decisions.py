"""Decisions as records: writing one, finding one, and the error that a refused one is answered with."""

from uuid import UUID

from django.db.models import Sum
from psycopg.types.json import Jsonb

from accounts import batch
from accounts.errors import ApiError
from billing.models import Decision, RateRefusals

INSERT = """
INSERT INTO billing_decision (id, organization_id, user_id, api_key_id, operation, subject, model, units_micro,
  quote_micro, price_version_id, terms_id, rules_version, allowed, code, message, would_allow, layers, remaining,
  retry_after_s, at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
# A flood that is refused alike writes one decision and one counting row a minute.
COUNT_REFUSAL = """
INSERT INTO billing_raterefusals (organization_id, api_key_id, minute, cause, refused, decision_id)
VALUES (%s, %s, date_trunc('minute', %s::timestamptz), %s, 1, %s)
ON CONFLICT (organization_id, minute, api_key_id, cause) DO UPDATE SET refused = billing_raterefusals.refused + 1
RETURNING decision_id
"""
COUNTED = (
    "rate_limit_exceeded",
    "moderation_blocked",
    "category_suspended",
)  # the codes of which a minute's first stands for the rest


def insertion(decision: Decision) -> batch.Statement:
    """The statement that stores a decision."""
    same = (
        "id organization_id user_id api_key_id operation subject model units_micro quote_micro price_version_id "
        "terms_id rules_version allowed code message would_allow"
    )
    values = [getattr(decision, name) for name in same.split()]
    tail = [Jsonb(decision.layers), Jsonb(decision.remaining), decision.retry_after_s, decision.at]
    return INSERT, [*values, *tail]


def counted_refusal(decision: Decision, cause: str = RateRefusals.RATE) -> batch.Statement:
    """The statement that counts a refusal and answers with the decision that explains the minute's first of its cause:
    this one, unless there is one already."""
    return COUNT_REFUSAL, (decision.organization_id, decision.api_key_id, decision.at, cause, decision.pk)


def refusal(decision: Decision, *, param: str | None = None) -> ApiError:
    """The error of a refused decision: what refused, what would have allowed it, when to come back.

    `param` is the field of the request that it is about, where it is about one.
    """
    headers = {"x-backlot-decision": f"/decisions/{decision.pk}"}
    if decision.code == "rate_limit_exceeded":
        rate = next(layer for layer in decision.layers if layer["outcome"] == "refused")
        headers |= {
            "x-ratelimit-limit-requests": str(rate["limit"]),
            "x-ratelimit-remaining-requests": str(rate["remaining"]),
            "x-ratelimit-reset-requests": f"{decision.retry_after_s:.3f}s",
        }
    return ApiError(
        decision.code,
        f"{decision.message} What would be allowed: {decision.would_allow}",
        param=param,
        decision_id=str(decision.pk),
        retry_after_s=decision.retry_after_s,
        headers=headers,
    )


def find(organization_id: int, decision_id: str | UUID) -> Decision:
    """One of the organization's decisions with its hold, usage, charge and price, in one query.

    Raises `ApiError` not_found; another organization's decision is simply not found.
    """
    try:
        wanted = UUID(str(decision_id))
    except ValueError:
        wanted = None
    related = ("price_version", "terms", "hold_taken__usage_event__charge", "user", "api_key")
    found = (
        Decision.objects.select_related(*related).filter(organization_id=organization_id, pk=wanted).first()
    )
    if found is None:
        raise ApiError("not_found", "There is no such decision in this organization.", param="id")
    return found


def refused_alike(decision: Decision) -> int:
    """How many requests of that minute this refusal stands for; 0 for one that stands for itself alone."""
    if decision.code not in COUNTED:
        return 0
    return decision.refusals.aggregate(sum=Sum("refused", default=0))["sum"]
