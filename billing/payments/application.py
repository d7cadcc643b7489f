"""What a provider tells, applied to our payments: by webhook or when asked, in any order and any number of times.

Only what a payment does not know yet changes anything. All of it happens under the lock on the wallet, inside the
caller's database transaction; nothing here talks to a provider.
"""

from datetime import datetime
from uuid import UUID

from accounts import operations
from billing import purchases
from billing.books import open_books
from billing.models import Payment, PaymentCustomer, PaymentEvent, Refund
from billing.payments import outcomes, shapes
from billing.payments.provider import Body

State = Payment.State
Outcome = PaymentEvent.Outcome
UNPAID = (State.CREATED, State.PENDING, State.FAILED, State.EXPIRED)


def find(provider: str, body: Body) -> Payment | None:
    """The payment of ours that an object is about: by the id in its metadata, or by what we know it by."""
    ours = Payment.objects.filter(provider=provider)
    if named := shapes.payment_named(body):
        return ours.filter(pk=named).first()
    if shapes.kind(body) == "refund":
        known = Refund.objects.filter(provider_refund_id=shapes.identity(body), payment__provider=provider)
        if refund := known.select_related("payment").first():
            return refund.payment
    if intent_id := shapes.intent_of(body):
        return ours.filter(provider_payment_id=intent_id).first()
    return None


def apply(payment_id: UUID, body: Body, *, event: str = "", at: datetime) -> tuple[str, dict]:
    """One object of the provider. Returns the outcome and what was read, for the event's row."""
    organization_id = Payment.objects.values_list("organization_id", flat=True).get(pk=payment_id)
    open_books(organization_id)  # the lock: from here on one after the other
    payment = Payment.objects.select_related("pack").get(pk=payment_id)
    kind = shapes.kind(body)
    if kind == "checkout.session":
        return _money(payment, shapes.session(body, event), at)
    if kind == "payment_intent":
        return _money(payment, shapes.intent(body), at)
    if kind in ("charge", "invoice"):
        return _about(payment, body)
    if kind == "refund":
        return _refund(payment, shapes.refund(body), at)
    if kind == "dispute":
        return _dispute(payment, shapes.dispute(body), at)
    return Outcome.NO_CHANGE, {}


def apply_all(payment_id: UUID, body: Body, *, at: datetime) -> bool:
    """An object with all that is expanded in it; whether anything changed."""
    judged = [apply(payment_id, part, at=at)[0] for part in shapes.parts(body)]
    return Outcome.APPLIED in judged


def _money(payment: Payment, told: shapes.Money, at: datetime) -> tuple[str, dict]:
    read = {"standing": told.standing, "amount_cents": told.amount_cents, "session": told.session_id}
    read |= {"intent": told.intent_id}
    if problem := _contradiction(payment, told):
        report = {**read, "problem": problem, "expected_cents": payment.amount_cents}
        operations.report("payment.contradiction", "error", f"payment:{payment.pk}", report)
        return Outcome.REJECTED, {**read, "problem": problem}
    # A declined try at a checkout leaves its intent behind: only the paid one is the payment's. A top-up has one.
    final = told.standing == shapes.PAID or payment.purpose == Payment.Purpose.AUTO_TOP_UP
    intent_id = told.intent_id if final else ""
    changed = _learn(payment, provider_id=told.session_id, provider_payment_id=intent_id)
    if payment.state in UNPAID:
        changed |= _move(payment, told, at)
    return (Outcome.APPLIED if changed else Outcome.NO_CHANGE), read


def _contradiction(payment: Payment, told: shapes.Money) -> str:
    """Why this can't be about this payment; empty where it can."""
    if told.session_id and payment.provider_id not in ("", told.session_id):
        return "it names another checkout session"
    if told.standing == shapes.PAID:
        if told.intent_id and payment.provider_payment_id not in ("", told.intent_id):
            return "it was paid by another intent before"
        if told.currency != payment.currency:
            return "the currency is another one"
        if told.amount_cents != payment.amount_cents:
            return "the amount is another one"
    return ""


def _learn(payment: Payment, **ids: str) -> bool:
    """Keep the provider's ids; each is learned once."""
    fresh = {name: value for name, value in ids.items() if value and not getattr(payment, name)}
    if fresh:
        Payment.objects.filter(pk=payment.pk).update(**fresh)
        for name, value in fresh.items():
            setattr(payment, name, value)
    return bool(fresh)


def _move(payment: Payment, told: shapes.Money, at: datetime) -> bool:
    if told.standing == shapes.PAID:
        paid = purchases.paid(payment.pk, at=at, provider_payment_id=told.intent_id)
        outcomes.paid(paid, at)
        return True
    if told.standing == shapes.FAILED and payment.state in (State.CREATED, State.PENDING):
        failure = {"failure_code": told.failure_code, "failure_message": told.failure_message}
        Payment.objects.filter(pk=payment.pk).update(state=State.FAILED, **failure)
        payment.refresh_from_db()
        outcomes.failed(payment, at)
        return True
    if told.standing == shapes.EXPIRED and payment.state != State.EXPIRED:
        Payment.objects.filter(pk=payment.pk).update(state=State.EXPIRED)
        return True
    if told.standing == shapes.WAITS and payment.state == State.CREATED:
        Payment.objects.filter(pk=payment.pk).update(state=State.PENDING)
        return True
    return False


def _about(payment: Payment, body: Body) -> tuple[str, dict]:
    """Receipt, invoice, and the card to keep."""
    links = shapes.links(body)
    changed = _learn(payment, **links)
    read: dict = {"links": sorted(links)}
    if shapes.kind(body) == "charge" and (card := shapes.kept_card(body)):
        read["card"] = card.label
        changed |= _keep(payment, card)
    return (Outcome.APPLIED if changed else Outcome.NO_CHANGE), read


def _keep(payment: Payment, card: shapes.Card) -> bool:
    """Keep the card, unless one of a later charge is kept already."""
    customers = PaymentCustomer.objects.select_for_update()
    customer = customers.filter(provider=payment.provider, provider_id=card.customer_id).first()
    if customer is None or customer.organization_id != payment.organization_id:
        return False
    if customer.method_at is not None and customer.method_at >= card.at:
        return False
    customer.method_id, customer.method_label, customer.method_at = card.method_id, card.label, card.at
    customer.save(update_fields=["method_id", "method_label", "method_at"])
    return True


def _refund(payment: Payment, told: shapes.Returned, at: datetime) -> tuple[str, dict]:
    read = {"refund": told.id, "standing": told.standing, "amount_cents": told.amount_cents}
    refund = _known_refund(payment, told)
    if refund is None:
        return _strange_refund(payment, told, read, at)
    if not refund.provider_refund_id:
        Refund.objects.filter(pk=refund.pk).update(provider_refund_id=told.id)
    before = refund.state
    after = _settle_refund(refund, told, at).state
    changed = before != after or not refund.provider_refund_id
    return (Outcome.APPLIED if changed else Outcome.NO_CHANGE), read


def _settle_refund(refund: Refund, told: shapes.Returned, at: datetime) -> Refund:
    if told.standing == shapes.PAID:
        return purchases.refund_succeeded(refund.pk, provider_refund_id=told.id, at=at)
    if told.standing == shapes.FAILED:
        return purchases.refund_failed(refund.pk, at=at)
    return refund


def _known_refund(payment: Payment, told: shapes.Returned) -> Refund | None:
    if told.ours.isdecimal():
        return payment.refunds.filter(pk=int(told.ours)).first()
    return payment.refunds.filter(provider_refund_id=told.id).first()


def _strange_refund(payment: Payment, told: shapes.Returned, read: dict, at: datetime) -> tuple[str, dict]:
    """A refund that was made at the provider, past us: its credits leave the wallet, if they are still there."""
    if told.standing == shapes.FAILED:
        return Outcome.NO_CHANGE, read
    credits = told.amount_cents * payment.credits_micro // payment.amount_cents
    left = payment.credits_micro - purchases.refunded(payment)[0]
    most = purchases.refundable_micro(open_books(payment.organization_id), payment)
    if payment.state not in (State.PAID, State.PARTLY_REFUNDED) or not 0 < credits <= min(left, most):
        problem = "it was made at the provider, and its credits are spent or were never granted"
        report = {**read, "problem": problem, "credits_micro": credits, "refundable_micro": most}
        operations.report("payment.refund_unmatched", "error", f"payment:{payment.pk}", report)
        return Outcome.REJECTED, {**read, "problem": problem}
    refund = purchases.begin_refund(
        payment.pk,
        credits,
        reason="Refunded at the payment provider",
        idempotency_key=f"provider:{told.id}",
        requested_by=None,
        at=at,
    )
    Refund.objects.filter(pk=refund.pk).update(provider_refund_id=told.id)
    refund.provider_refund_id = told.id
    _settle_refund(refund, told, at)
    return Outcome.APPLIED, read


def _dispute(payment: Payment, told: shapes.Dispute, at: datetime) -> tuple[str, dict]:
    """Opened, then won or lost. What was decided before it was told as opened stays decided."""
    read = {"dispute": told.id, "dispute_standing": told.standing, "reason": told.reason}
    decided = payment.events.filter(
        detail__dispute=told.id, detail__dispute_standing__in=["won", "lost"]
    ).exists()
    before = payment.state
    if told.standing == "lost" or (told.standing == "opened" and not decided):
        _open_dispute(payment, told, at)
    if told.standing == "won":
        purchases.dispute_won(payment.pk, dispute_id=told.id, at=at)
    elif told.standing == "lost":
        purchases.dispute_lost(payment.pk)
    payment.refresh_from_db()
    return (Outcome.APPLIED if payment.state != before else Outcome.NO_CHANGE), read


def _open_dispute(payment: Payment, told: shapes.Dispute, at: datetime) -> None:
    opened = payment.events.filter(detail__dispute=told.id, detail__dispute_standing="opened")
    if payment.state in UNPAID or opened.filter(outcome=Outcome.APPLIED).exists():
        return
    purchases.disputed(payment.pk, dispute_id=told.id, at=at)
    outcomes.disputed(payment, told.id, at)
