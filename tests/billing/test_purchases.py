"""Payments and the ledger: granted once, refunded only while unspent, a dispute of spent credits is owed."""

import itertools

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.errors import ApiError
from billing import ledger, purchases
from billing.models import Account, CreditPack, Entry, Payment, Refund, Transaction
from billing.reconciliation import reconcile
from tests.billing.conftest import CREDIT, NOON, new_organization, run_sql, stored

_numbers = itertools.count(1)
PACK = 1_000 * CREDIT


def ordered(organization, slug: str = "starter") -> Payment:
    pack = CreditPack.objects.get(slug=slug)
    number = next(_numbers)
    return Payment.objects.create(
        organization=organization,
        provider="stand-in",
        provider_id=f"cs_{number}",
        pack=pack,
        credits_micro=pack.credits_micro,
        amount_cents=pack.amount_cents,
        currency=pack.currency,
        idempotency_key=f"key-{number}",
        request_hash="0" * 64,
    )


@pytest.fixture
def bought(organization) -> Payment:
    return purchases.paid(ordered(organization).pk, at=NOON, provider_payment_id=f"pi_{next(_numbers)}")


def refund(payment: Payment, credits: float, key: str = "r") -> Refund:
    return purchases.begin_refund(
        payment.pk,
        round(credits * CREDIT),
        reason="asked for",
        idempotency_key=key,
        requested_by=None,
        at=NOON,
    )


def committed_check() -> None:
    """Make the deferred checks now, as a commit would."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def test_paid_grants_once_however_often_it_is_told(organization):
    payment = ordered(organization)
    for _ in range(3):
        purchases.paid(
            payment.pk, at=NOON, provider_payment_id="pi_once", receipt_url="https://pay.example/r"
        )
    committed_check()
    payment.refresh_from_db()
    assert (payment.state, payment.paid_at, payment.receipt_url) == ("paid", NOON, "https://pay.example/r")
    assert stored(organization)["purchased"] == PACK
    assert Transaction.objects.filter(payment=payment).count() == 1
    assert reconcile().drift == ()


def test_money_that_arrives_after_all_counts(organization):
    payment = ordered(organization)
    Payment.objects.filter(pk=payment.pk).update(state="expired")
    purchases.paid(payment.pk, at=NOON)
    assert stored(organization)["purchased"] == PACK


def test_a_refund_takes_the_credits_first_and_fails_back(organization, bought):
    begun = refund(bought, 400)
    assert (begun.amount_cents, stored(organization)["purchased"]) == (400, 600 * CREDIT)
    bought.refresh_from_db()
    assert bought.state == "partly_refunded"
    purchases.refund_failed(begun.pk, at=NOON)
    purchases.refund_failed(begun.pk, at=NOON)
    bought.refresh_from_db()
    assert (bought.state, stored(organization)["purchased"]) == ("paid", PACK)
    again = refund(bought, 1000, key="second")
    purchases.refund_succeeded(again.pk, provider_refund_id="re_1", at=NOON)
    bought.refresh_from_db()
    assert (bought.state, stored(organization)["purchased"]) == ("refunded", 0)
    committed_check()
    assert reconcile().drift == ()


def test_the_same_refund_again_is_the_first_and_with_another_amount_a_mistake(bought):
    assert refund(bought, 100) == refund(bought, 100)
    with pytest.raises(ApiError) as caught:
        refund(bought, 101)
    assert caught.value.code == "idempotency_key_reused"
    assert Refund.objects.count() == 1


def test_what_was_spent_is_not_refunded(organization, bought, decide, bare_terms):
    decide(1000, terms=bare_terms)  # 300 credits are held
    with pytest.raises(ApiError, match=r"700\.00 credits can be refunded"):
        refund(bought, 701)
    assert refund(bought, 700).credits_micro == 700 * CREDIT


def test_the_cents_of_refunds_come_to_the_price_and_no_more(bought):
    cents = [refund(bought, credits, key=str(credits)).amount_cents for credits in (333.333333, 333.333334)]
    assert cents == [333, 333]
    assert refund(bought, 333.333333, key="rest").amount_cents == 334


def test_a_dispute_of_unspent_credits_takes_them_back_and_winning_returns_them(organization, bought):
    purchases.disputed(bought.pk, dispute_id="dp_1", at=NOON)
    purchases.disputed(bought.pk, dispute_id="dp_1", at=NOON)
    assert stored(organization)["purchased"] == 0
    assert not Account.objects.filter(organization=organization, kind="receivable").exists()
    purchases.dispute_won(bought.pk, dispute_id="dp_1", at=NOON)
    bought.refresh_from_db()
    assert (bought.state, stored(organization)["purchased"]) == ("paid", PACK)
    assert reconcile().drift == ()


def test_a_dispute_of_spent_credits_is_owed_and_paid_from_the_next_purchase(
    organization, bought, decide, bare_terms
):
    decide(2000, terms=bare_terms)  # 600 credits
    purchases.disputed(bought.pk, dispute_id="dp_1", at=NOON)
    after = stored(organization)
    assert (after["purchased"], after["receivable"], after["held"]) == (0, -600 * CREDIT, 600 * CREDIT)
    purchases.dispute_lost(bought.pk)
    purchases.paid(ordered(organization).pk, at=NOON)
    after = stored(organization)
    assert (after["purchased"], after["receivable"]) == (400 * CREDIT, 0)
    assert Transaction.objects.filter(kind="recovery").count() == 1
    committed_check()
    assert reconcile().drift == ()


def test_a_won_dispute_settles_what_is_owed_first(organization, bought, decide, bare_terms):
    decide(2000, terms=bare_terms)
    purchases.disputed(bought.pk, dispute_id="dp_1", at=NOON)
    purchases.dispute_won(bought.pk, dispute_id="dp_1", at=NOON)
    after = stored(organization)
    assert (after["purchased"], after["receivable"]) == (400 * CREDIT, 0)


class TestTheDatabase:
    def test_paid_without_its_grant(self, organization):
        payment = ordered(organization)
        with pytest.raises(DatabaseError, match="is paid and 0 transactions granted"), transaction.atomic():
            run_sql("UPDATE billing_payment SET state = 'paid', paid_at = now() WHERE id = %s", payment.pk)

    def test_a_grant_without_its_payment_being_paid(self, organization):
        payment = ordered(organization)
        with pytest.raises(DatabaseError, match="its credits were granted"), transaction.atomic():
            post_purchase(organization, payment)

    def test_a_second_grant(self, organization, bought):
        with pytest.raises(IntegrityError, match="transaction_one_grant_per_payment"), transaction.atomic():
            post_purchase(organization, bought)

    def test_a_grant_to_another_organization(self, bought):
        with pytest.raises(DatabaseError), transaction.atomic():
            post_purchase(new_organization(), bought, kind="pay_refund")

    @pytest.mark.parametrize(
        ("state", "to"), [("paid", "created"), ("paid", "failed"), ("created", "refunded")]
    )
    def test_a_state_that_does_not_follow(self, organization, state, to):
        payment = ordered(organization)
        if state == "paid":
            purchases.paid(payment.pk, at=NOON)
        with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
            run_sql("UPDATE billing_payment SET state = %s WHERE id = %s", to, payment.pk)

    def test_what_was_bought_is_fixed(self, bought):
        for column, value in (("credits_micro", 1), ("amount_cents", 1), ("currency", "'eur'")):
            with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
                run_sql(f"UPDATE billing_payment SET {column} = {value}")
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            run_sql("UPDATE billing_payment SET provider_payment_id = 'pi_other'")

    def test_a_payment_for_other_than_its_pack(self, organization):
        pack = CreditPack.objects.get(slug="starter")
        insert = """INSERT INTO billing_payment (id, organization_id, provider, pack_id, credits_micro, amount_cents,
            currency, state, purpose, idempotency_key, request_hash, provider_id, provider_payment_id)
            VALUES (gen_random_uuid(), %s, 'x', %s, 5000000, 1, 'usd', 'created', 'checkout', 'k', 'h', 'x', '')"""
        with pytest.raises(DatabaseError, match="for what its pack offers"), transaction.atomic():
            run_sql(insert, organization.pk, pack.pk)

    def test_refunds_above_what_was_bought(self, organization, bought):
        ledger.grant(organization.pk, PACK, bucket="purchased", idempotency_key="g", reason="test", at=NOON)
        refund(bought, 600)
        with pytest.raises(DatabaseError, match="more than was bought"), transaction.atomic():
            refund_by_hand(organization, bought, moved=500, said=500)

    def test_a_refund_that_took_nothing_out_of_the_wallet(self, organization, bought):
        with pytest.raises(DatabaseError, match="left the wallet"), transaction.atomic():
            refund_by_hand(organization, bought, moved=50, said=60)

    def test_one_automatic_top_up_at_a_time(self, organization):
        insert = """INSERT INTO billing_payment (id, organization_id, provider, pack_id, credits_micro, amount_cents,
            currency, state, purpose, idempotency_key, request_hash, provider_id, provider_payment_id, checkout_url,
            receipt_url, invoice_url, failure_code, failure_message)
            SELECT gen_random_uuid(), %s, 'x', id, credits_micro, amount_cents, currency, 'created', 'auto_top_up', %s,
            'h', '', '', '', '', '', '', '' FROM billing_creditpack WHERE slug = 'starter'"""
        run_sql(insert, organization.pk, "a")
        with pytest.raises(IntegrityError, match="payment_one_top_up_at_a_time"), transaction.atomic():
            run_sql(insert, organization.pk, "b")


def post_purchase(organization, payment: Payment, kind: str = "purchase", amount: int = PACK) -> int:
    """A ledger transaction for a payment, written by hand; positive is credits in."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO billing_transaction (organization_id, operation, idempotency_key, request_hash, kind, reason,
               available_after, held_after, at, written_in, payment_id)
               VALUES (%s, 'raw', %s, repeat('0', 64), %s, 'raw', 0, 0, now(), 0, %s) RETURNING id""",
            [organization.pk, f"raw:{next(_numbers)}", kind, payment.pk],
        )
        (number,) = cursor.fetchone()
        books = ledger.wallet_for(organization.pk)
        purchased = Account.objects.get(organization_id=books.pk, kind="purchased").pk
        cash = Account.objects.get(organization=None, kind="cash").pk
        cursor.execute(
            "INSERT INTO billing_entry (transaction_id, account_id, amount) VALUES (%s, %s, %s), (%s, %s, %s)",
            [number, purchased, amount, number, cash, -amount],
        )
    if kind != "pay_refund" or amount > 0:
        committed_check()
    return number


def refund_by_hand(organization, payment: Payment, *, moved: int, said: int) -> None:
    posted = post_purchase(organization, payment, kind="pay_refund", amount=-moved * CREDIT)
    run_sql(
        """INSERT INTO billing_refund (payment_id, credits_micro, amount_cents, state, reason, idempotency_key,
           provider_refund_id, transaction_id) VALUES (%s, %s, %s, 'pending', 'x', 'by hand', '', %s)""",
        payment.pk,
        said * CREDIT,
        said,
        posted,
    )


def test_entries_of_a_purchase(organization, bought):
    assert sorted(
        Entry.objects.filter(transaction__payment=bought).values_list("account__kind", "amount")
    ) == [
        ("cash", -PACK),
        ("purchased", PACK),
    ]


class TestASecondPerson:
    """Above the limit of one person alone a refund has another's name on it; the database looks at commit."""

    @pytest.fixture(autouse=True)
    def limit(self, bought):
        run_sql(
            """INSERT INTO billing_billingsettings (approval_above_micro, low_balance_micro, sla_credit_days,
               reads_per_minute_factor, effective_from, author, reason)
               VALUES (%s, 0, 1, 1, clock_timestamp(), 'x', 'x')""",
            100 * CREDIT,
        )

    @pytest.fixture
    def people(self, django_user_model):
        make = django_user_model.objects.create_user
        return make("one@example.com"), make("two@example.com")

    def begin(self, payment, credits: float, **who) -> Refund:
        asked = {"reason": "asked for", "idempotency_key": "r", "requested_by": None, "at": NOON, **who}
        with transaction.atomic():
            made = purchases.begin_refund(payment.pk, round(credits * CREDIT), **asked)
            committed_check()
        return made

    def test_up_to_the_limit_one_is_enough(self, bought, people):
        assert self.begin(bought, 100, requested_by=people[0]).approved_by is None

    @pytest.mark.parametrize("asked_by_nobody", [True, False])
    def test_above_it_not(self, organization, bought, people, asked_by_nobody):
        who = None if asked_by_nobody else people[0]
        before = stored(organization)
        with pytest.raises(DatabaseError, match="needs a second person"):
            self.begin(bought, 101, requested_by=who)
        with pytest.raises(IntegrityError, match="refund_not_self_approved"):
            self.begin(bought, 101, requested_by=people[0], approved_by=people[0])
        assert (stored(organization), Refund.objects.count()) == (before, 0)
        made = self.begin(bought, 101, requested_by=people[0], approved_by=people[1])
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            run_sql("UPDATE billing_refund SET approved_by_id = NULL WHERE id = %s", made.pk)

    def test_what_the_provider_made_by_itself_is_taken_over(self, bought):
        with transaction.atomic():
            made = purchases.begin_refund(
                bought.pk,
                500 * CREDIT,
                reason="Refunded at the payment provider",
                idempotency_key="provider:re_1",
                requested_by=None,
                at=NOON,
            )
            Refund.objects.filter(pk=made.pk).update(provider_refund_id="re_1")
            committed_check()
