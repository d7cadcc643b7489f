"""Planted faults: each is put into the code or into the schema, and the test that is named for it must then fail.

That those tests pass without the fault is what `make test` shows. Faults in the schema are made inside the test's own
database transaction and go with it; faults in the code are patches of this process.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import Phase, settings
from hypothesis.errors import Flaky

from accounts import batch
from billing import ledger, pricing, purchases, settlement
from billing.books import Books
from tests.billing import test_money_machine
from tests.billing.test_database_guards import settled

__all__ = ["settled"]  # a fixture of the named tests
pytestmark = pytest.mark.faults

# With several failures at once, or one that a spoilt database transaction hides, hypothesis says so in its own words.
CAUGHT = (AssertionError, pytest.fail.Exception, DatabaseError, ledger.HoldResolved, Flaky, ExceptionGroup)


@dataclass(frozen=True)
class Fault:
    """What is planted, by SQL or by a patch, and the test that catches it; `given` are the parameters of one case."""

    name: str
    caught_by: str
    sql: str = ""
    patch: Callable[[pytest.MonkeyPatch], None] | None = None
    given: dict = field(default_factory=dict)


def drop_triggers(named: str, *tables: str) -> str:
    """Drop the triggers whose name has this in it."""
    listed = ", ".join(f"'{table}'::regclass" for table in tables)
    return f"""
        DO $$ DECLARE found record; BEGIN
          FOR found IN SELECT tgname, tgrelid::regclass AS place FROM pg_trigger
                        WHERE NOT tgisinternal AND tgname LIKE '%%{named}%%' AND tgrelid IN ({listed})
          LOOP EXECUTE format('DROP TRIGGER %%I ON %%s', found.tgname, found.place); END LOOP;
        END $$
    """


def drop_check(table: str, name: str) -> str:
    return f"ALTER TABLE {table} DROP CONSTRAINT {name}"


# The trigger that moves balances, without its look at whose account an entry is on.
CROSSING = """
    DO $$ DECLARE body text; BEGIN
      SELECT pg_get_functiondef(tgfoid) INTO body FROM pg_trigger
       WHERE tgrelid = 'billing_entry'::regclass AND tgname LIKE '%%moves_balances%%';
      EXECUTE replace(body, 'a.organization_id <> t.organization_id', 'false');
    END $$
"""


def without_lock(patch: pytest.MonkeyPatch) -> None:
    own = batch.run

    def run(statements):
        return own([(sql.removesuffix(" FOR UPDATE"), values) for sql, values in statements])

    patch.setattr(batch, "run", run)


def other_sign(patch: pytest.MonkeyPatch) -> None:
    own = ledger.post

    def post(books, moves, **about):
        return own(books, [(account, -amount) for account, amount in moves], **about)

    patch.setattr(ledger, "post", post)


def forgotten_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "posted_before", lambda *asked: None)


def captured_twice(patch: pytest.MonkeyPatch) -> None:
    own = settlement.amount_due
    patch.setattr(settlement, "amount_due", lambda held, *done: min(held.amount, 2 * own(held, *done)))


def rounded_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pricing, "amount_micro", lambda units, price: -(-units * price // 1_000_000))


def expired_early(patch: pytest.MonkeyPatch) -> None:
    own = Books.expired
    patch.setattr(Books, "expired", lambda books, at: own(books, at + timedelta(days=2)))


def paid_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(purchases, "NOT_YET_PAID", tuple(purchases.State))


def released_whole(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "_released_parts", lambda parts, captured: [(part, part.amount) for part in parts])


GUARDS = "test_database_guards::"
MACHINE = "test_money_machine::test_money_follows_the_model"
FAULTS = [
    Fault(
        "a balance may fall below zero",
        GUARDS + "TestTransactions::test_more_than_there_is",
        drop_check("billing_account", "account_balance_not_negative"),
    ),
    Fault(
        "entries need not sum to zero",
        GUARDS + "TestTransactions::test_entries_that_do_not_sum_to_zero",
        drop_triggers("sums_to_zero", "billing_entry", "billing_transaction"),
    ),
    Fault(
        "entries can be edited",
        GUARDS + "TestAppendOnly::test_rows_are_never_updated",
        drop_triggers("", "billing_entry"),
    ),
    Fault(
        "a hold can be resolved again",
        GUARDS + "TestHolds::test_a_hold_resolves_once",
        drop_triggers("resolves_once", "billing_hold"),
    ),
    Fault(
        "a hold need not lie in the held account",
        GUARDS + "TestHolds::test_nothing_is_held_without_money",
        drop_triggers("adds_up", "billing_hold", "billing_holdpart"),
    ),
    Fault(
        "a charge may be above its quote",
        GUARDS + "TestCharges::test_a_charge_is_never_above_the_quote_or_below_nothing",
        drop_check("billing_charge", "charge_within_quote"),
    ),
    Fault(
        "an entry may cross organizations",
        GUARDS + "TestTransactions::test_another_organizations_account",
        CROSSING,
    ),
    Fault(
        "a sign is changed",
        "test_ledger::TestGrant::test_credits_come_from_the_platforms_grants",
        patch=other_sign,
    ),
    Fault(
        "idempotency is forgotten",
        "test_ledger::TestGrant::test_the_same_key_grants_once",
        patch=forgotten_key,
    ),
    Fault("twice is captured", MACHINE, patch=captured_twice),
    Fault("an amount is rounded up", MACHINE, patch=rounded_up),
    Fault("a promotion expires early", MACHINE, patch=expired_early),
    Fault("what was captured is given back too", MACHINE, patch=released_whole),
    Fault(
        "a payment is granted again",
        "test_purchases::test_paid_grants_once_however_often_it_is_told",
        patch=paid_again,
    ),
]


def named_test(name: str) -> Callable:
    module, *way = name.split("::")
    found = importlib.import_module(f"tests.billing.{module}")
    for part in way:
        found = getattr(found(), part) if inspect.isclass(found) else getattr(found, part)
    return found


@pytest.fixture
def found_is_enough(monkeypatch):
    """A state machine that fails has said enough: nobody needs its shortest way. The same runs every time."""
    monkeypatch.setattr(test_money_machine, "EXAMPLES", 150)
    settings.register_profile("planted", phases=[Phase.generate], derandomize=True)
    settings.load_profile("planted")
    yield
    settings.load_profile("patient")


@pytest.mark.django_db
@pytest.mark.usefixtures("found_is_enough")
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_a_planted_fault_is_caught(fault, request, monkeypatch):
    test = named_test(fault.caught_by)
    wanted = [name for name in inspect.signature(test).parameters if name not in fault.given]
    given = {name: request.getfixturevalue(name) for name in wanted} | fault.given
    if fault.patch:
        fault.patch(monkeypatch)
        # Outside of a committing test all is one transaction, so that a refusal of the database ends with the block.
        with (
            pytest.raises(CAUGHT),
            transaction.atomic() if "committed" not in given else monkeypatch.context(),
        ):
            test(**given)
        return
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks that wait can't be altered
        cursor.execute(fault.sql, [])
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    with pytest.raises(CAUGHT):
        test(**given)


def test_a_wallet_that_is_not_locked_is_caught(committed, monkeypatch):
    """Threads have connections of their own, so this one commits."""
    without_lock(monkeypatch)
    with pytest.raises(CAUGHT):
        named_test("test_concurrency::test_holds_never_exceed_what_there_is")(committed)
