"""The operations of a client, each done by an intent that holds all it needs, so that it can be done again.

`draw` makes an intent from chance and from what the client did before; `carry_out` does it through the same calls that
the service makes and returns the answer: plain values that the end of the run holds against the database.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from functools import cache

from django.db import transaction
from django.utils import timezone

from accounts.errors import ApiError
from accounts.models import Organization
from billing import access, corrections, ledger, promotions, purchases
from billing.models import Charge, Hold, Payment, Transaction
from billing.settlement import settle
from tests.faults.hammer import stage
from tests.faults.hammer.stage import CREDIT

UNIT = 1_000_000
WEIGHTS = {
    "hold": 35,  # hardly more than are resolved: open ones must not pile up over a million operations
    "settle": 28,
    "release": 6,
    "grant": 8,
    "pay": 6,
    "refund": 3,
    "dispute": 2,
    "redeem": 2,
    "adjust": 2,
    "refund_charge": 2,
    "void": 1,
}
# What each needs of the client's own past: the kind of answer it goes on from.
FROM = {
    "settle": "held",
    "release": "held",
    "refund": "paid",
    "dispute": "paid",
    "refund_charge": "charged",
    "void": "granted",
}
REPEATED = ("refund",)  # a payment can be refunded in several parts; the others use up what they go on from


def draw(chance: random.Random, number: int, client: int, slugs: list[str], codes: int, past: dict) -> dict:
    """The next intent. `past` holds, by kind, what may be gone on from."""
    open_to = [name for name in WEIGHTS if name not in FROM or past.get(FROM[name])]
    name = chance.choices(open_to, [WEIGHTS[one] for one in open_to])[0]
    # Every second one on the first organization: one hot wallet, and many others.
    slug = slugs[0] if chance.random() < 0.5 else chance.choice(slugs)
    intent = {"number": number, "name": name, "slug": slug, "key": f"c{client}-{number}"}
    if name in FROM:
        before = chance.choice(past[FROM[name]])
        intent |= {"of": before["key"], "slug": before["slug"]}
    intent["amount"] = chance.randint(1, 20 * CREDIT)
    intent["choice"] = chance.random()
    intent["code"] = f"HAMMER-{chance.randrange(codes)}"
    return intent


def carry_out(intent: dict) -> dict:
    """Do it, for the first time or again. An `ApiError` is an answer too: it says that nothing was changed."""
    made = _organization(intent["slug"])
    try:
        return DO[intent["name"]](made, intent)
    except ApiError as refused:
        return {"refused": refused.code}


@cache
def _organization(slug: str) -> Organization:
    return Organization.objects.get(slug=slug)


def _hold(made: Organization, intent: dict) -> dict:
    asked = access.AccessRequest(
        organization_id=made.pk,
        user_id=None,
        api_key_id=None,
        operation="clip",
        subject=intent["key"],
        units_micro=1 + intent["amount"] % (30 * UNIT),
        model="pocket-video",
    )
    with transaction.atomic():
        decision = access.decide_and_hold(asked, stage.terms_of(made), timezone.now())
    if not decision.allowed:
        return {"refused": decision.code}
    return {"held": decision.quote_micro}


def _settle(made: Organization, intent: dict) -> dict:
    hold = Hold.objects.get(organization=made, subject=intent["of"])
    outcome = ("delivered", "delivered", "cancelled", "failed", "blocked")[int(intent["choice"] * 5)]
    done = {"outcome": outcome, "units_micro": hold.units_micro * 3 // 4, "quantity": 1}
    charge = settle(hold.pk, subject=hold.subject, reason_code=outcome, at=timezone.now(), **done)
    return {"charged": charge.amount}


def _release(made: Organization, intent: dict) -> dict:
    hold = Hold.objects.get(organization=made, subject=intent["of"])
    try:
        with transaction.atomic():
            ledger.release(ledger.open_books(made.pk), hold, reason="a test", at=timezone.now())
    except ledger.HoldResolved:  # by this client's own first try, whose answer was lost
        return {"released": True}
    return {"released": True}


def _grant(made: Organization, intent: dict) -> dict:
    asked = {"bucket": "purchased", "expires_at": None}
    if intent["choice"] < 0.5:
        asked = {"bucket": "promotional", "expires_at": stage.BEGAN + timedelta(days=36_500)}
    ledger.grant(made.pk, intent["amount"], idempotency_key=intent["key"], reason="a test", **asked)
    return {"granted": intent["amount"]}


def _pay(made: Organization, intent: dict) -> dict:
    bought = stage.payment(made, intent["key"])
    told = stage.intent_paid(bought)
    for _ in range(1 + (intent["choice"] < 0.3)):  # some come twice
        stage.hear(f"paid-{intent['key']}", "payment_intent.succeeded", told)
    return {"paid": bought.credits_micro}


def _refund(made: Organization, intent: dict) -> dict:
    bought = Payment.objects.get(pk=stage.payment_id(intent["of"]))
    asked = {"reason": "a test", "idempotency_key": intent["key"], "requested_by": None}
    begun = purchases.begin_refund(bought.pk, intent["amount"], at=timezone.now(), **asked)
    if intent["choice"] < 0.3:
        purchases.refund_failed(begun.pk, at=timezone.now())
        return {"refund": intent["amount"], "state": "failed"}
    purchases.refund_succeeded(begun.pk, provider_refund_id=f"re_{intent['key']}", at=timezone.now())
    return {"refund": intent["amount"], "state": "succeeded"}


def _dispute(made: Organization, intent: dict) -> dict:
    bought = Payment.objects.get(pk=stage.payment_id(intent["of"]))
    end = "won" if intent["choice"] < 0.6 else "lost"
    order = [("needs_response", "created"), (end, "closed")]
    if intent["choice"] * 100 % 2 < 1:
        order.reverse()  # the end comes first
    for status, name in order:
        stage.hear(f"{name}-{intent['key']}", f"charge.dispute.{name}", stage.dispute_of(bought, status))
    return {"dispute": end}


def _redeem(made: Organization, intent: dict) -> dict:
    promotions.redeem(stage.caller_of(made), intent["code"], timezone.now())
    return {"redeemed": intent["code"]}


def _adjust(made: Organization, intent: dict) -> dict:
    amount = intent["amount"] if intent["choice"] < 0.5 else -intent["amount"]
    asked = {"reason": "a test", "actor": None, "at": timezone.now()}
    corrections.adjust(made.pk, amount, idempotency_key=intent["key"], **asked)
    return {"adjusted": amount}


def _refund_charge(made: Organization, intent: dict) -> dict:
    charge = Charge.objects.get(usage_event__organization=made, usage_event__subject=intent["of"])
    amount = max(1, charge.amount // 2)
    asked = {"reason": "a test", "actor": None, "at": timezone.now()}
    corrections.refund_charge(charge.pk, amount, idempotency_key=intent["key"], **asked)
    return {"given_back": amount}


def _void(made: Organization, intent: dict) -> dict:
    granted = Transaction.objects.get(organization=made, operation="grant", idempotency_key=intent["of"])
    asked = {"reason": "a test", "actor": None, "at": timezone.now()}
    corrections.void(granted.pk, idempotency_key=intent["key"], **asked)
    return {"voided": True}


DO: dict[str, Callable[[Organization, dict], dict]] = {
    "hold": _hold,
    "settle": _settle,
    "release": _release,
    "grant": _grant,
    "pay": _pay,
    "refund": _refund,
    "dispute": _dispute,
    "redeem": _redeem,
    "adjust": _adjust,
    "refund_charge": _refund_charge,
    "void": _void,
}
