"""What follows from a payment's end beside the ledger: notices, and the state of automatic top-up.

Called once per change of a payment, in the transaction that makes it, under the lock on the wallet.
"""

from datetime import datetime

from django.urls import reverse

from billing import notices, pricing
from billing.models import AutoTopUp, Notice, Payment

MOST_FAILURES = 3  # in a row; then automatic top-up pauses until a person looks


def dollars(cents: int, currency: str = "usd") -> str:
    """Money as people write it: $10.00, or 10.00 EUR."""
    return f"${cents / 100:,.2f}" if currency == "usd" else f"{cents / 100:,.2f} {currency.upper()}"


def paid(payment: Payment, at: datetime) -> None:
    if payment.purpose != Payment.Purpose.AUTO_TOP_UP:
        return
    AutoTopUp.objects.filter(pk=payment.organization_id).update(
        consecutive_failures=0, last_failure="", failed_at=None
    )
    bought = pricing.in_credits(payment.credits_micro)
    money = dollars(payment.amount_cents, payment.currency)
    tell(payment, Notice.Kind.TOP_UP_DONE, f"Automatic top-up bought {bought} credits for {money}.")


def failed(payment: Payment, at: datetime) -> None:
    """A top-up that failed counts; after `MOST_FAILURES` in a row no more are tried."""
    if payment.purpose != Payment.Purpose.AUTO_TOP_UP:
        return
    settings = AutoTopUp.objects.select_for_update().filter(pk=payment.organization_id).first()
    if settings is None:
        return
    settings.consecutive_failures += 1
    settings.last_failure, settings.failed_at = payment.failure_message, at
    if settings.consecutive_failures >= MOST_FAILURES and settings.state == AutoTopUp.State.ON:
        settings.state = AutoTopUp.State.PAUSED
    settings.save(update_fields=["consecutive_failures", "last_failure", "failed_at", "state"])
    why = payment.failure_message.rstrip(".") or "The card was declined"
    if settings.state == AutoTopUp.State.PAUSED:
        then = (
            f"After {settings.consecutive_failures} failures in a row it is paused: buy credits with another card, "
            "then switch it on again."
        )
    else:
        then = "It is tried again in an hour, if it is still needed."
    tell(payment, Notice.Kind.TOP_UP_FAILED, f"Automatic top-up failed: {why}. Nothing was charged. {then}")


def disputed(payment: Payment, dispute_id: str, at: datetime) -> None:
    money = dollars(payment.amount_cents, payment.currency)
    message = (
        f"The payment of {money} was disputed by its payer. Its credits are taken back; what of them was spent "
        "already is owed, and is paid first from what is bought next."
    )
    tell(payment, Notice.Kind.PAYMENT_DISPUTED, message, key=f"{payment.pk}:{dispute_id}")


def tell(payment: Payment, kind: str, message: str, key: str = "") -> None:
    """A notice, once per payment and kind (or per `key`)."""
    notices.tell(
        payment.organization_id,
        kind,
        (key or str(payment.pk))[:200],
        message,
        link=reverse("buy_credits"),
        detail={"payment": str(payment.pk), "amount_cents": payment.amount_cents},
    )
