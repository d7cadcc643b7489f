"""The money paths, whole: each may be walked a second time with the same outcome, wherever the first walk ended."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Organization, User
from billing import access, corrections, hold_expiry, ledger, promotions, service_levels
from billing.models import Charge, Hold, Payment, SlaTarget, Transaction, UsageEvent
from billing.payments import (
    buying,
    refunds,
    sandbox_cards,
    sandbox_checkout,
    sandbox_delivery,
    sweep,
    top_up,
    top_up_settings,
)
from billing.settlement import settle
from tests.faults.hammer import stage
from tests.faults.hammer.stage import CREDIT

ASKED = {"reason": "a test", "actor": None}
RETURNS = buying.returns_to("https://backlot.example")


@dataclass(frozen=True)
class Path:
    """`prepare` makes the organization and what comes before; `walk` is what is cut short."""

    name: str
    walk: Callable[[str], object]
    before: Callable[[str], object] | None = None

    def prepare(self, slug: str) -> None:
        stage.organization(slug)
        if self.before:
            self.before(slug)


def made(slug: str) -> Organization:
    return Organization.objects.get(slug=slug)


def admit(slug: str) -> None:
    asked = access.AccessRequest(made(slug).pk, None, None, "clip", "work", 40_000_000, "pocket-video")
    with transaction.atomic():
        access.decide_and_hold(asked, stage.terms_of(made(slug)), timezone.now())


def settled(slug: str, outcome: str = "delivered") -> None:
    done = {"outcome": outcome, "units_micro": 31_000_000, "quantity": 50, "reason_code": outcome}
    settle(the_hold(slug).pk, subject="work", at=timezone.now(), **done)


def the_hold(slug: str) -> Hold:
    return Hold.objects.get(organization=made(slug))


def release(slug: str) -> None:
    hold = the_hold(slug)
    if hold.state == Hold.State.OPEN:
        with transaction.atomic():
            ledger.release(ledger.open_books(made(slug).pk), hold, reason="a test", at=timezone.now())


def grant(slug: str) -> None:
    ledger.grant(made(slug).pk, CREDIT, bucket="purchased", idempotency_key="given", reason="a test")


def adjust(slug: str) -> None:
    corrections.adjust(made(slug).pk, -CREDIT, idempotency_key="down", at=timezone.now(), **ASKED)


def void(slug: str) -> None:
    given = Transaction.objects.get(organization=made(slug), idempotency_key="given")
    corrections.void(given.pk, idempotency_key="void", at=timezone.now(), **ASKED)


def give_back(slug: str) -> None:
    charge = Charge.objects.get(organization=made(slug))
    corrections.refund_charge(charge.pk, 2 * CREDIT, idempotency_key="back", at=timezone.now(), **ASKED)


def code(slug: str) -> str:
    return stage.code(code_of(slug)).code


def code_of(slug: str) -> str:
    return slug.upper().replace("_", "-")


def redeem(slug: str) -> None:
    if not made(slug).redemptions.exists():
        promotions.redeem(stage.caller_of(made(slug)), code_of(slug), timezone.now())


def buy(slug: str) -> None:
    """From the pack to the credits: the checkout opened, paid with a card that is kept, the webhooks delivered."""
    asked = {"user": None, "keep_card": True, "returns": RETURNS, "now": timezone.now()}
    payment = buying.start(made(slug), "starter", idempotency_key="buy", **asked)
    sandbox_checkout.try_card(payment.provider_id, sandbox_cards.card("4242424242424242"))
    sandbox_delivery.deliver(timezone.now())


def refund(slug: str) -> None:
    payment = Payment.objects.get(organization=made(slug))
    asked = {"reason": "a test", "idempotency_key": "refund", "requested_by": None}
    begun = refunds.refund(payment.pk, 100 * CREDIT, at=timezone.now(), **asked)
    if begun.state == begun.State.PENDING:  # as the sweep does
        refunds.send(begun, at=timezone.now())
    sandbox_delivery.deliver(timezone.now())


def pay(slug: str) -> None:
    bought = stage.payment(made(slug), slug)
    stage.hear(f"paid-{slug}", "payment_intent.succeeded", stage.intent_paid(bought))


def dispute(slug: str) -> None:
    bought = stage.payment(made(slug), slug)
    for status, name in (("needs_response", "created"), ("won", "closed")):
        stage.hear(f"{name}-{slug}", f"charge.dispute.{name}", stage.dispute_of(bought, status))


def with_top_up(slug: str) -> None:
    buy(slug)
    user = User.objects.create_user(f"{slug}@example.com")
    wanted = {"pack_slug": "starter", "threshold_micro": CREDIT, "monthly_cap_cents": 100_000}
    top_up_settings.switch_on(made(slug), **wanted, user=user, now=timezone.now())


def cover(slug: str) -> None:
    """More is asked for than there is, until the top-up has brought it; then nothing is bought."""
    under_way = Payment.objects.filter(organization=made(slug), purpose="auto_top_up", paid_at=None)
    if under_way.exists():  # whoever began it is gone: upkeep asks about it
        sweep.run(timezone.now() + timedelta(minutes=2))
    else:
        top_up.cover(made(slug).pk, 11_100 * CREDIT, timezone.now())
    sandbox_delivery.deliver(timezone.now())


def run_out(slug: str) -> None:
    """A hold whose time is over: only the database's own clock ends one, so it is set back past the triggers."""
    admit(slug)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE billing_hold SET expires_at = now() WHERE id = %s", [the_hold(slug).pk])


def delivered(slug: str) -> None:
    admit(slug)
    settled(slug)


def late(slug: str) -> None:
    usage = UsageEvent.objects.get(organization=made(slug))
    target = SlaTarget.objects.filter(credit_micro__gt=0).earliest("pk")
    service_levels.credit_breach(usage.pk, target, timedelta(seconds=target.target_s + 1), timezone.now())


PATHS = (
    Path("admit", admit),
    Path("settle", settled, admit),
    Path("release", release, admit),
    Path("grant", grant),
    Path("adjust", adjust),
    Path("void", void, grant),
    Path("give-back", give_back, delivered),
    Path("redeem", redeem, code),
    Path("buy", buy),
    Path("refund", refund, buy),
    Path("pay", pay),
    Path("dispute", dispute, pay),
    Path("top-up", cover, with_top_up),
    Path("expire", lambda slug: hold_expiry.expire(), run_out),
    Path("late", late, delivered),
)
