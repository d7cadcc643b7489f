"""What the database refuses about payments and refunds, whoever asks. Tested by raw SQL in test_payment_guards.py.

The deferred ones look at commit: a payment and the transaction that grants its credits can't be one statement.
"""

import pgtrigger

from billing.credit_guards import LIMIT_IN_FORCE
from billing.guarding import deferred, kept, refusing

# Money that arrives after all (a late confirmation, a second try with another card) is never lost: failed and expired
# payments can still be paid.
TRANSITIONS = [
    ("created", "pending"),
    ("created", "paid"),
    ("created", "failed"),
    ("created", "expired"),
    ("pending", "paid"),
    ("pending", "failed"),
    ("pending", "expired"),
    ("failed", "pending"),
    ("failed", "paid"),
    ("failed", "expired"),
    ("expired", "paid"),
    ("paid", "partly_refunded"),
    ("paid", "refunded"),
    ("paid", "disputed"),
    ("partly_refunded", "refunded"),
    ("partly_refunded", "paid"),  # a refund that the provider could not make
    ("partly_refunded", "disputed"),
    ("refunded", "partly_refunded"),
    ("refunded", "paid"),
    ("refunded", "disputed"),
    ("disputed", "paid"),  # decided for us
    ("disputed", "partly_refunded"),
    ("disputed", "refunded"),
    ("disputed", "lost"),
]

# The states in which the payer's money has been ours: a purchase stands in the ledger for each, for no other.
GRANTED = "('paid', 'partly_refunded', 'refunded', 'disputed', 'lost')"


def granted_once(payment: str) -> str:
    """The check that a payment's state and the ledger agree, for the triggers of both; `payment` is its id in SQL."""
    return f"""
        SELECT * INTO STRICT p FROM billing_payment WHERE id = {payment};
        SELECT count(DISTINCT t.id), coalesce(sum(e.amount), 0) INTO grants, granted
          FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
          JOIN billing_account a ON a.id = e.account_id AND a.kind = 'cash'
         WHERE t.payment_id = p.id AND t.kind = 'purchase' AND t.organization_id = p.organization_id;
        IF p.state IN {GRANTED} AND (grants <> 1 OR granted <> -p.credits_micro) THEN
            RAISE EXCEPTION 'payment % is % and % transactions granted % of its % micro-credits',
                p.id, p.state, grants, -granted, p.credits_micro USING ERRCODE = 'check_violation';
        END IF;
        IF p.state NOT IN {GRANTED} AND grants <> 0 THEN
            RAISE EXCEPTION 'payment % is % and its credits were granted', p.id, p.state
                USING ERRCODE = 'check_violation';
        END IF;
        SELECT count(*) INTO strangers FROM billing_transaction t
         WHERE t.payment_id = p.id AND t.organization_id <> p.organization_id;
        IF strangers > 0 THEN
            RAISE EXCEPTION 'payment % moved money of another organization', p.id
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    """


GRANTED_ONCE_VARIABLES = [
    ("p", "billing_payment%ROWTYPE"),
    ("grants", "bigint"),
    ("granted", "numeric"),
    ("strangers", "bigint"),
]


def _set_once(field: str, unset: dict) -> pgtrigger.Trigger:
    was_set = ~pgtrigger.Q(**unset)
    changes = pgtrigger.Q(**{f"old__{field}__df": pgtrigger.F(f"new__{field}")})
    return pgtrigger.Protect(
        name=f"{field}_is_set_once", operation=pgtrigger.Update, condition=was_set & changes
    )


def payment_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="identity_is_fixed",
            fields=[
                "organization",
                "provider",
                "purpose",
                "pack",
                "credits_micro",
                "amount_cents",
                "currency",
                "idempotency_key",
                "request_hash",
                "created_at",
            ],
        ),
        _set_once("provider_id", {"old__provider_id": ""}),
        _set_once("provider_payment_id", {"old__provider_payment_id": ""}),
        _set_once("paid_at", {"old__paid_at__isnull": True}),
        refusing(
            "begins_created",
            pgtrigger.Insert,
            """
            IF NEW.state <> 'created' THEN
                RAISE EXCEPTION 'a payment begins as created' USING ERRCODE = 'check_violation';
            END IF;
            SELECT count(*) INTO offered FROM billing_creditpack k WHERE k.id = NEW.pack_id
               AND (k.credits_micro, k.amount_cents, k.currency)
                 = (NEW.credits_micro, NEW.amount_cents, NEW.currency);
            IF offered <> 1 THEN
                RAISE EXCEPTION 'a payment is for what its pack offers' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
            """,
            when=pgtrigger.Before,
            declare=[("offered", "bigint")],
        ),
        pgtrigger.FSM(name="moves_on", field="state", transitions=TRANSITIONS),
        deferred(
            "granted_once",
            pgtrigger.Insert | pgtrigger.Update,
            granted_once("NEW.id"),
            declare=GRANTED_ONCE_VARIABLES,
        ),
    ]


def event_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="told_is_told",
            fields=["provider", "provider_event_id", "kind", "payload_digest", "told_at", "received_at"],
        ),
        pgtrigger.FSM(
            name="judged_once",
            field="outcome",
            transitions=[("received", to) for to in ("applied", "no_change", "foreign", "rejected")],
        ),
    ]


# The row lock on the payment makes two refunds at once look one after the other.
_WITHIN_PAYMENT = """
    SELECT * INTO STRICT p FROM billing_payment WHERE id = NEW.payment_id FOR UPDATE;
    SELECT coalesce(sum(r.credits_micro), 0), coalesce(sum(r.amount_cents), 0) INTO credits, cents
      FROM billing_refund r WHERE r.payment_id = p.id AND r.state <> 'failed';
    IF credits > p.credits_micro OR cents > p.amount_cents THEN
        RAISE EXCEPTION 'refunds of payment % come to more than was bought', p.id
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT coalesce(sum(e.amount), 0) INTO returned
      FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
      JOIN billing_account a ON a.id = e.account_id AND a.kind = 'cash'
     WHERE t.id = NEW.transaction_id AND t.kind = 'pay_refund' AND t.payment_id = p.id;
    IF returned <> NEW.credits_micro THEN
        RAISE EXCEPTION 'refund % is % micro-credits and % left the wallet for it', NEW.id, NEW.credits_micro,
            returned USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""


# What the provider told of was made there; what is asked for here takes a second person above the limit.
_APPROVED = f"""{LIMIT_IN_FORCE}    SELECT * INTO STRICT r FROM billing_refund WHERE id = NEW.id;
    IF r.approved_by_id IS NULL AND (most IS NULL OR r.credits_micro > most)
       AND (r.requested_by_id IS NOT NULL OR r.idempotency_key <> 'provider:' || r.provider_refund_id) THEN
        RAISE EXCEPTION 'refund % needs a second person', r.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""


def refund_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="identity_is_fixed",
            fields=[
                "payment",
                "credits_micro",
                "amount_cents",
                "reason",
                "idempotency_key",
                "requested_by",
                "approved_by",
                "transaction",
                "created_at",
            ],
        ),
        deferred(
            "approved_above_the_limit",
            pgtrigger.Insert,
            _APPROVED,
            declare=[("most", "bigint"), ("r", "billing_refund%ROWTYPE")],
        ),
        _set_once("provider_refund_id", {"old__provider_refund_id": ""}),
        pgtrigger.FSM(
            name="ends_once",
            field="state",
            transitions=[("pending", "succeeded"), ("pending", "failed"), ("succeeded", "failed")],
        ),
        deferred(
            "within_payment",
            pgtrigger.Insert | pgtrigger.Update,
            _WITHIN_PAYMENT,
            declare=[
                ("p", "billing_payment%ROWTYPE"),
                ("credits", "numeric"),
                ("cents", "numeric"),
                ("returned", "numeric"),
            ],
        ),
    ]
