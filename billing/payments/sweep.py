"""What the webhooks should have told but did not: payments and refunds that are pending too long are asked about.

Each is asked soon at first and then ever more rarely, half as long again each time. Nothing is locked meanwhile; a
row is taken by writing when it was asked.
"""

import logging
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from billing.models import Payment, Refund
from billing.payments import application, refunds, top_up
from billing.payments.buying import CHECKOUT_LASTS, OPENED_WITHIN
from billing.payments.provider import OFF, ProviderRefused, ProviderUnavailable, active_name, named

logger = logging.getLogger(__name__)

State = Payment.State
FIRST_ASKED = timedelta(seconds=30)
GIVEN_UP = timedelta(
    hours=2
)  # after a checkout's end: what its provider has not closed by then is closed here
MOST = 50
EVER = datetime(2000, 1, 1, tzinfo=UTC)

TAKE = """
UPDATE {table} SET asked_at = %s WHERE id IN (
  SELECT r.id FROM {table} r JOIN billing_payment p ON p.id = {payment}
   WHERE r.state = ANY(%s) AND r.created_at > %s AND p.provider = %s
     AND CASE WHEN r.asked_at IS NULL THEN r.created_at < %s
              ELSE r.asked_at + (r.asked_at - r.created_at) / 2 < %s END
   ORDER BY r.created_at LIMIT %s FOR UPDATE OF r SKIP LOCKED)
RETURNING id
"""


def run(now: datetime) -> int:
    """Ask about everything that is due; how many were asked about."""
    if active_name() == OFF:
        return 0
    payments = _take("billing_payment", "r.id", [State.CREATED, State.PENDING], EVER, now)
    # Declined, but its checkout is still open to another card.
    payments += _take("billing_payment", "r.id", [State.FAILED], now - CHECKOUT_LASTS - GIVEN_UP, now)
    pending = _take("billing_refund", "r.payment_id", [Refund.State.PENDING], EVER, now)
    for payment in Payment.objects.filter(pk__in=payments).select_related("pack"):
        _ask(payment, now)
    for refund in Refund.objects.filter(pk__in=pending):
        refunds.send(refund, at=now)
    return len(payments) + len(pending)


def _take(table: str, payment: str, states: list[str], since: datetime, now: datetime) -> list[object]:
    with connection.cursor() as cursor:
        sql = TAKE.format(table=table, payment=payment)
        cursor.execute(sql, [now, states, since, active_name(), now - FIRST_ASKED, now, MOST])
        return [row[0] for row in cursor.fetchall()]


def _ask(payment: Payment, now: datetime) -> None:
    is_top_up = payment.purpose == Payment.Purpose.AUTO_TOP_UP
    if is_top_up and payment.state == State.FAILED:
        return  # it is over: the next one is a payment of its own
    try:
        if is_top_up and not payment.provider_payment_id:
            top_up.charge(payment, again=True)
        elif is_top_up:
            _apply(payment, named(payment.provider).read_intent(payment.provider_payment_id), now)
        elif payment.provider_id:
            _apply(payment, named(payment.provider).read_checkout(payment.provider_id), now)
    except (ProviderUnavailable, ProviderRefused) as problem:
        logger.warning("payment %s could not be asked about: %s", payment.pk, problem)
    _give_up(payment, now)


def _apply(payment: Payment, answer: object, now: datetime) -> None:
    if answer is not None:
        with transaction.atomic():
            application.apply_all(payment.pk, answer, at=now)


def _give_up(payment: Payment, now: datetime) -> None:
    """A checkout that nobody can pay any more: it never got its page, or its end is long past. Money that comes all
    the same is still taken (expired → paid)."""
    unopened = not payment.provider_id and now > payment.created_at + OPENED_WITHIN
    over = payment.expires_at is not None and now > payment.expires_at + GIVEN_UP
    if payment.purpose == Payment.Purpose.CHECKOUT and (unopened or over):
        open_still = Payment.objects.filter(pk=payment.pk, state__in=(State.CREATED, State.PENDING))
        open_still.update(state=State.EXPIRED)
