"""Money back for credits that were bought and not spent: out of the wallet first, then asked of the provider.

In that order, because credits that could still be spent while their money goes back would be given away. What the
provider can't pay back returns to the wallet.
"""

from datetime import datetime

from django.db import transaction

from accounts import operations
from accounts.models import User
from billing import purchases
from billing.models import Payment, Refund
from billing.payments import application
from billing.payments.provider import ProviderRefused, ProviderUnavailable, named


def refund(
    payment_id: object,
    credits_micro: int,
    *,
    reason: str,
    idempotency_key: str,
    requested_by: User | None,
    at: datetime,
) -> Refund:
    """Refund unspent credits of a payment. Pending where the provider has not answered yet: the sweep asks again.

    Never call it inside a database transaction. Raises `ApiError` as `purchases.begin_refund` does, and not_ready
    where the payment's provider is not in use; nothing has changed then.
    """
    named(Payment.objects.values_list("provider", flat=True).get(pk=payment_id))
    with transaction.atomic(durable=True):
        begun = purchases.begin_refund(
            payment_id,
            credits_micro,
            reason=reason,
            idempotency_key=idempotency_key,
            requested_by=requested_by,
            at=at,
        )
    return send(begun, at=at)


def send(refund: Refund, *, at: datetime) -> Refund:
    """Ask the provider for a pending refund, or how it stands; the same call again changes nothing."""
    payment = Payment.objects.get(pk=refund.payment_id)
    provider = named(payment.provider)
    try:
        if refund.provider_refund_id:
            answer = provider.read_refund(refund.provider_refund_id)
        else:
            answer = provider.refund(refund, payment)
    except ProviderUnavailable as problem:
        _report(refund, "refund.unanswered", "warning", problem)
        return refund
    except ProviderRefused as problem:
        _report(refund, "refund.refused", "error", problem)
        return refund if refund.provider_refund_id else purchases.refund_failed(refund.pk, at=at)
    with transaction.atomic():
        application.apply(payment.pk, answer, at=at)
    refund.refresh_from_db()
    return refund


def _report(refund: Refund, kind: str, severity: str, problem: Exception) -> None:
    operations.report(kind, severity, f"refund:{refund.pk}", {"problem": str(problem)[:500]})
