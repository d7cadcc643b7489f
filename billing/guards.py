"""What the database refuses about money, whoever asks: the triggers behind billing's tables.

Each is tested by raw SQL in tests/billing/test_database_guards.py. The deferred ones look when the database
transaction commits, because a ledger transaction and its entries can't be written by one statement.
"""

import pgtrigger

from accounts.append_only import append_only


def _refusing(name: str, operation: pgtrigger.Operation, func: str, **options: object) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(name=name, operation=operation, func=func, **options)


def _deferred(name: str, operation: pgtrigger.Operation, func: str, **options: object) -> pgtrigger.Trigger:
    return _refusing(
        name, operation, func, when=pgtrigger.After, timing=pgtrigger.Deferred, level=pgtrigger.Row, **options
    )


def _kept() -> list[pgtrigger.Trigger]:
    """Rows that may change in a few columns but are never deleted."""
    return [
        pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        _refusing(
            "no_truncate",
            pgtrigger.Truncate,
            "RAISE EXCEPTION 'table % is never truncated', TG_TABLE_NAME;",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
        ),
    ]


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
        _refusing(
            "written_now",
            pgtrigger.Insert,
            "NEW.written_in := pg_current_xact_id()::text::bigint; RETURN NEW;",
            when=pgtrigger.Before,
        ),
        _deferred("sums_to_zero", pgtrigger.Insert, _balanced("NEW.id"), declare=_TOTALS),
    ]


def entry_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        _refusing(
            "moves_balances", pgtrigger.Insert, _MOVES_BALANCES, declare=[("stray", "bigint")], **_EACH_INSERT
        ),
        _deferred("sums_to_zero", pgtrigger.Insert, _balanced("NEW.transaction_id"), declare=_TOTALS),
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
        *_kept(),
        pgtrigger.ReadOnly(
            name="identity_is_fixed", fields=["organization", "kind", "expires_at", "opened_at"]
        ),
        _refusing(
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
        _refusing(
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
        *_kept(),
        pgtrigger.ReadOnly(
            name="identity_is_fixed",
            fields=["organization", "decision", "subject", "units_micro", "amount", "held_at"],
        ),
        pgtrigger.Protect(
            name="resolves_once", operation=pgtrigger.Update, condition=~pgtrigger.Q(old__state="open")
        ),
        _deferred(
            "adds_up", pgtrigger.Insert | pgtrigger.Update, _hold_adds_up("NEW.id"), declare=_HOLD_VARIABLES
        ),
    ]


def hold_part_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        _deferred("adds_up", pgtrigger.Insert, _hold_adds_up("NEW.hold_id"), declare=_HOLD_VARIABLES),
    ]


def charge_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        _deferred(
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
