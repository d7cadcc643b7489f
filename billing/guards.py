"""What the database refuses about money, whoever asks: the triggers behind billing's tables.

Each is tested by raw SQL in tests/billing/test_database_guards.py. The deferred ones look when the database
transaction commits, because a ledger transaction and its entries can't be written by one statement.
"""

import pgtrigger

from accounts.append_only import append_only
from billing.guarding import deferred, kept, refusing
from billing.payment_guards import GRANTED_ONCE_VARIABLES, granted_once


def _balanced(transaction: str) -> str:
    return f"""
        SELECT count(*), coalesce(sum(amount), 0) INTO lines, total
          FROM billing_entry WHERE transaction_id = {transaction};
        IF lines < 2 OR total <> 0 THEN
            RAISE EXCEPTION 'ledger transaction % has % entries that sum to %', {transaction}, lines, total
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    """


_TOTALS = [("lines", "bigint"), ("total", "numeric")]


def transaction_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        # Remembered so that entries are written together with their transaction, never added to an old one.
        refusing(
            "written_now",
            pgtrigger.Insert,
            "NEW.written_in := pg_current_xact_id()::text::bigint; RETURN NEW;",
            when=pgtrigger.Before,
        ),
        deferred("sums_to_zero", pgtrigger.Insert, _balanced("NEW.id"), declare=_TOTALS),
        deferred(
            "granted_once",
            pgtrigger.Insert,
            granted_once("NEW.payment_id"),
            declare=GRANTED_ONCE_VARIABLES,
            condition=pgtrigger.Q(new__payment__isnull=False),
        ),
        deferred(
            "refunds_within_charge",
            pgtrigger.Insert,
            _WITHIN_CHARGE,
            declare=[("c", "billing_charge%ROWTYPE"), ("kept", "numeric")],
            condition=pgtrigger.Q(new__kind="refund"),
        ),
        deferred(
            "reverses_exactly",
            pgtrigger.Insert,
            _REVERSED,
            declare=[("r", "billing_transaction%ROWTYPE"), ("different", "bigint")],
            condition=pgtrigger.Q(new__reverses__isnull=False),
        ),
    ]


# Locking the charge makes two refunds of it look one after the other.
_WITHIN_CHARGE = """
    SELECT * INTO STRICT c FROM billing_charge WHERE id = NEW.charge_id FOR UPDATE;
    SELECT coalesce(sum(e.amount), 0) INTO kept
      FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
      JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
     WHERE t.charge_id = c.id;
    IF kept < 0 OR kept > c.amount OR c.organization_id <> NEW.organization_id THEN
        RAISE EXCEPTION 'charge % is of % and % is left of it', c.id, c.amount, kept
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""

# What may be taken back whole. Work is not among them: a charge is refunded, a hold resolved.
_REVERSED = """
    SELECT * INTO STRICT r FROM billing_transaction WHERE id = NEW.reverses_id;
    SELECT count(*) INTO different FROM (
        SELECT account_id, sum(amount) FROM billing_entry
         WHERE transaction_id IN (NEW.id, r.id) GROUP BY account_id HAVING sum(amount) <> 0) d;
    IF different > 0 OR r.organization_id <> NEW.organization_id
       OR r.kind NOT IN ('grant', 'promotion', 'adjustment', 'sla_credit', 'pay_refund', 'invoice') THEN
        RAISE EXCEPTION 'transaction % does not reverse %', NEW.id, r.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""


def entry_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        refusing(
            "moves_balances", pgtrigger.Insert, _MOVES_BALANCES, declare=[("stray", "bigint")], **_EACH_INSERT
        ),
        deferred("sums_to_zero", pgtrigger.Insert, _balanced("NEW.transaction_id"), declare=_TOTALS),
    ]


_EACH_INSERT = {
    "when": pgtrigger.After,
    "level": pgtrigger.Statement,
    "referencing": pgtrigger.Referencing(new="written"),
}

# One UPDATE for all entries of a statement: the CHECK on the balance sees the net of a transaction, not its steps.
_MOVES_BALANCES = """
    SELECT w.id INTO stray FROM written w
      LEFT JOIN billing_transaction t ON t.id = w.transaction_id
     WHERE t.written_in IS DISTINCT FROM pg_current_xact_id()::text::bigint LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % is not written together with its ledger transaction', stray
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT w.id INTO stray FROM written w
      JOIN billing_transaction t ON t.id = w.transaction_id
      LEFT JOIN billing_account a ON a.id = w.account_id
     WHERE a.id IS NULL OR a.organization_id <> t.organization_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % crosses organizations', stray USING ERRCODE = 'check_violation';
    END IF;
    UPDATE billing_account a SET balance = a.balance + m.amount
      FROM (SELECT account_id, sum(amount) AS amount FROM written GROUP BY account_id) m
     WHERE a.id = m.account_id AND a.organization_id IS NOT NULL;
    RETURN NULL;
"""


def account_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="identity_is_fixed", fields=["organization", "kind", "expires_at", "opened_at"]
        ),
        refusing(
            "opens_empty",
            pgtrigger.Insert,
            """
            IF NEW.balance <> 0 THEN
                RAISE EXCEPTION 'an account opens empty' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
            """,
            when=pgtrigger.Before,
        ),
        # Depth 1 is this trigger alone: somebody's own UPDATE. The trigger on entries brings it to 2.
        refusing(
            "moved_by_entries_alone",
            pgtrigger.Update,
            """
            IF NEW.balance IS DISTINCT FROM OLD.balance AND pg_trigger_depth() < 2 THEN
                RAISE EXCEPTION 'a balance moves only by entries' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
            """,
            when=pgtrigger.Before,
        ),
    ]


def _hold_adds_up(hold: str) -> str:
    """The parts make up the hold, a decision allowed it, and while it is open its money lies in the held account."""
    return f"""
        SELECT * INTO STRICT h FROM billing_hold WHERE id = {hold};
        SELECT coalesce(sum(p.amount), 0),
               count(*) FILTER (WHERE a.organization_id IS DISTINCT FROM h.organization_id)
          INTO parts, strangers
          FROM billing_holdpart p JOIN billing_account a ON a.id = p.account_id WHERE p.hold_id = h.id;
        SELECT coalesce(sum(e.amount), 0) INTO held
          FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
          JOIN billing_account a ON a.id = e.account_id
         WHERE t.hold_id = h.id AND a.kind = 'held' AND a.organization_id = h.organization_id;
        SELECT count(*) INTO granted FROM billing_decision d
         WHERE d.id = h.decision_id AND d.allowed AND d.organization_id = h.organization_id
           AND d.quote_micro = h.amount;
        IF granted <> 1 THEN
            RAISE EXCEPTION 'hold % has no decision that allows it', h.id USING ERRCODE = 'check_violation';
        END IF;
        IF parts <> h.amount OR strangers > 0 THEN
            RAISE EXCEPTION 'the parts of hold % do not make it up', h.id USING ERRCODE = 'check_violation';
        END IF;
        IF held <> (CASE WHEN h.state = 'open' THEN h.amount ELSE 0 END) THEN
            RAISE EXCEPTION 'hold % is % but % lies in the held account', h.id, h.state, held
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    """


_HOLD_VARIABLES = [
    ("h", "billing_hold%ROWTYPE"),
    ("parts", "numeric"),
    ("strangers", "bigint"),
    ("held", "numeric"),
    ("granted", "bigint"),
]


def hold_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="identity_is_fixed",
            fields=["organization", "decision", "subject", "units_micro", "amount", "held_at"],
        ),
        # Only the database's clock ends a hold that nobody resolved, and nobody shortens one.
        refusing(
            "expires_by_the_clock",
            pgtrigger.Update,
            """
            IF NEW.state = 'expired' AND OLD.expires_at > clock_timestamp() THEN
                RAISE EXCEPTION 'hold % has not run out', OLD.id USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.expires_at < OLD.expires_at THEN
                RAISE EXCEPTION 'the time of hold % is never cut', OLD.id USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
            """,
            when=pgtrigger.Before,
        ),
        pgtrigger.Protect(
            name="resolves_once", operation=pgtrigger.Update, condition=~pgtrigger.Q(old__state="open")
        ),
        deferred(
            "adds_up", pgtrigger.Insert | pgtrigger.Update, _hold_adds_up("NEW.id"), declare=_HOLD_VARIABLES
        ),
    ]


def hold_part_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        deferred("adds_up", pgtrigger.Insert, _hold_adds_up("NEW.hold_id"), declare=_HOLD_VARIABLES),
    ]


def charge_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        deferred(
            "is_what_was_captured",
            pgtrigger.Insert,
            """
            SELECT count(*) INTO matching FROM billing_usageevent u JOIN billing_hold h ON h.id = u.hold_id
             WHERE u.id = NEW.usage_event_id AND u.organization_id = NEW.organization_id
               AND h.organization_id = NEW.organization_id
               AND h.state <> 'open' AND h.captured = NEW.amount AND h.amount = NEW.quoted;
            IF matching <> 1 THEN
                RAISE EXCEPTION 'charge % is not what its hold captured', NEW.id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
            """,
            declare=[("matching", "bigint")],
        ),
    ]
