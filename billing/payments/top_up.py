"""Automatic top-up: a pack is bought with the kept card when credits run low, or when a request lacks some.

The order is always the same: a short transaction that writes the payment's row (one at a time per organization, within
the month's cap), then the provider without any lock, then what it answered. A crash anywhere leaves a row that the
sweep brings to its end with the same idempotency key, so that one row is one charge at most.
"""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, Sum
from django.utils import timezone

from accounts import operations
from billing.books import open_books
from billing.models import Account, AutoTopUp, CreditPack, Payment, PaymentCustomer
from billing.payments import application, buying
from billing.payments.provider import OFF, ProviderRefused, ProviderUnavailable, active_name, named

State = Payment.State
RETRY_AFTER = timedelta(hours=1)  # of a failed top-up
JOIN_S, LOOK_S = (
    10.0,
    0.25,
)  # how long a request waits for a top-up that another one began, and how often it looks
BOUGHT = (Account.Kind.PURCHASED, Account.Kind.PROMOTIONAL)

LOW = """
SELECT t.organization_id FROM billing_autotopup t
  JOIN billing_paymentcustomer c ON c.id = t.customer_id AND c.provider = %s AND c.method_id <> ''
 WHERE t.state = 'on' AND (t.failed_at IS NULL OR t.failed_at < %s)
   AND t.threshold_micro > (SELECT coalesce(sum(a.balance), 0) FROM billing_account a
        WHERE a.organization_id = t.organization_id
          AND (a.kind = 'purchased' OR (a.kind = 'promotional' AND a.expires_at > %s)))
   AND NOT EXISTS (SELECT 1 FROM billing_payment p WHERE p.organization_id = t.organization_id
        AND p.purpose = 'auto_top_up' AND p.state IN ('created', 'pending'))
 LIMIT %s
"""


def cover(organization_id: int, needed_micro: int, now: datetime) -> bool:
    """Buy what a refused request lacks, if its organization wants that. True where credits have come: decide again.

    `needed_micro` is what the request costs. Call it after the refusal's transaction is over (it refuses to run inside
    one): it asks the provider, which takes a second or so. A top-up that another request began meanwhile is waited
    for. One pack is bought, and only if that is enough.
    """
    with transaction.atomic(durable=True):
        lacking = needed_micro - open_books(organization_id).available
        payment = _begin(organization_id, now, lacking_micro=lacking) if lacking > 0 else None
    if lacking <= 0:
        return True  # they have come since the refusal
    if payment is not None:
        return charge(payment).state == State.PAID
    return _joined(organization_id)


def top_up_low(now: datetime, limit: int = 20) -> int:
    """Top up every organization whose credits (allowance aside) fell below its threshold; how many were charged."""
    if active_name() == OFF:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(LOW, [active_name(), now - RETRY_AFTER, now, limit])
        low = [row[0] for row in cursor.fetchall()]
    begun = (_begin(organization_id, now) for organization_id in low)
    return sum(charge(payment).state == State.PAID for payment in begun if payment is not None)


def charge(payment: Payment, *, again: bool = False) -> Payment:
    """Ask the provider for the money of a top-up and keep its answer.

    `again` is for one whose answer was lost: what was charged is looked for first, whatever card is kept by now.
    """
    provider = named(payment.provider)
    customer = PaymentCustomer.objects.get(organization_id=payment.organization_id, provider=provider.name)
    try:
        intent = provider.find_charge(payment, customer) if again else None
        intent = intent or provider.charge_kept_card(payment, customer)
    except ProviderUnavailable as problem:
        operations.report(
            "payment.unanswered", "warning", f"payment:{payment.pk}", {"problem": str(problem)[:500]}
        )
        payment.refresh_from_db()
        return payment
    except ProviderRefused as problem:
        operations.report(
            "payment.refused", "error", f"payment:{payment.pk}", {"problem": str(problem)[:500]}
        )
        intent = _refused(payment)
    with transaction.atomic():
        application.apply_all(payment.pk, intent, at=timezone.now())
    payment.refresh_from_db()
    return payment


def spent_this_month_cents(organization_id: int, now: datetime) -> int:
    """What automatic top-ups of this month (UTC) came to, with those under way."""
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    mine = Payment.objects.filter(organization_id=organization_id, purpose=Payment.Purpose.AUTO_TOP_UP)
    counted = mine.filter(created_at__gte=month).exclude(state__in=(State.FAILED, State.EXPIRED))
    return int(counted.aggregate(sum=Sum("amount_cents", default=0))["sum"])


def credits_micro(organization_id: int, now: datetime) -> int:
    """What the threshold is held against: purchased and promotional credits, without the day's allowance."""
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    mine = Account.objects.filter(unexpired, organization_id=organization_id, kind__in=BOUGHT)
    return int(mine.aggregate(sum=Sum("balance", default=0))["sum"])


def _refused(payment: Payment) -> dict:
    """What the provider would not even try, as an intent that failed."""
    return {
        "object": "payment_intent",
        "status": "requires_payment_method",
        "amount": payment.amount_cents,
        "currency": payment.currency,
        "last_payment_error": {
            "code": "refused",
            "message": "The payment provider refused to charge the kept card.",
        },
    }


@transaction.atomic
def _begin(organization_id: int, now: datetime, *, lacking_micro: int | None = None) -> Payment | None:
    """Write the payment of a top-up that is due, or None. The wallet's lock makes two of them look in turn.

    `lacking_micro` is what a request lacks; without it the threshold decides.
    """
    open_books(organization_id)
    settings = AutoTopUp.objects.select_related("customer").filter(pk=organization_id).first()
    if settings is None or not _may(settings, now):
        return None
    pack = next((one for one in buying.packs(now) if one.slug == settings.pack_slug), None)
    if pack is None or not _is_due(settings, pack, lacking_micro, now):
        return None
    if spent_this_month_cents(organization_id, now) + pack.amount_cents > settings.monthly_cap_cents:
        return None
    return _written(settings, pack, now)


def _may(settings: AutoTopUp, now: datetime) -> bool:
    if settings.state != AutoTopUp.State.ON or not settings.customer.method_id:
        return False
    if settings.customer.provider != active_name():
        return False
    return settings.failed_at is None or settings.failed_at < now - RETRY_AFTER


def _is_due(settings: AutoTopUp, pack: CreditPack, lacking_micro: int | None, now: datetime) -> bool:
    if lacking_micro is not None:
        return lacking_micro <= pack.credits_micro
    return credits_micro(settings.organization_id, now) < settings.threshold_micro


def _written(settings: AutoTopUp, pack: CreditPack, now: datetime) -> Payment | None:
    under_way = Payment.objects.filter(
        organization_id=settings.organization_id,
        purpose=Payment.Purpose.AUTO_TOP_UP,
        state__in=(State.CREATED, State.PENDING),
    )
    if under_way.exists():
        return None
    number = Payment.objects.filter(
        organization_id=settings.organization_id, purpose=Payment.Purpose.AUTO_TOP_UP
    ).count()
    return Payment.objects.create(
        organization_id=settings.organization_id,
        provider=settings.customer.provider,
        purpose=Payment.Purpose.AUTO_TOP_UP,
        pack=pack,
        credits_micro=pack.credits_micro,
        amount_cents=pack.amount_cents,
        currency=pack.currency,
        idempotency_key=f"top-up:{number + 1}",
        request_hash=buying.request_hash({"pack": pack.slug, "number": number + 1}),
        created_at=now,
    )


def _joined(organization_id: int) -> bool:
    """Wait for the top-up that is under way, if one is; whether it brought credits."""
    under_way = _under_way(organization_id)
    if under_way is None:
        return False
    end = time.monotonic() + JOIN_S
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        state = Payment.objects.values_list("state", flat=True).get(pk=under_way)
        if state not in (State.CREATED, State.PENDING):
            return state == State.PAID
    return False


def _under_way(organization_id: int) -> UUID | None:
    mine = Payment.objects.filter(organization_id=organization_id, purpose=Payment.Purpose.AUTO_TOP_UP)
    return mine.filter(state__in=(State.CREATED, State.PENDING)).values_list("pk", flat=True).first()
