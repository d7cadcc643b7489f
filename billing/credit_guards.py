"""What the database refuses about codes, adjustments, credits for late clips, budgets and invoices."""

import pgtrigger

from accounts.append_only import append_only
from billing.guarding import deferred, kept, refusing


def promotion_code_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="terms_are_fixed",
            fields=[
                "code",
                "credits_micro",
                "credits_last_days",
                "max_redemptions",
                "valid_from",
                "created_at",
                "author",
                "approved_by",
            ],
        ),
        approved_above_the_limit("NEW.credits_micro * NEW.max_redemptions"),
    ]


# The limit that counts is the one in force at that moment. No limit at all allows nothing.
LIMIT_IN_FORCE = """
    SELECT approval_above_micro INTO most FROM billing_billingsettings
     WHERE effective_from <= clock_timestamp() ORDER BY effective_from DESC LIMIT 1;
"""


def approved_above_the_limit(amount: str) -> pgtrigger.Trigger:
    """Rows with an `author` (an e-mail address): above the limit somebody else has approved them."""
    return refusing(
        "approved_above_the_limit",
        pgtrigger.Insert,
        f"""
        {LIMIT_IN_FORCE}
        IF NEW.approved_by_id IS NULL AND (most IS NULL OR ({amount}) > most) THEN
            RAISE EXCEPTION '% of % micro-credits needs a second person', TG_TABLE_NAME, ({amount})
                USING ERRCODE = 'check_violation';
        END IF;
        {NOT_BY_ITS_AUTHOR}
        RETURN NEW;
        """,
        when=pgtrigger.Before,
        declare=[("most", "bigint"), ("own", "bigint")],
    )


NOT_BY_ITS_AUTHOR = """
    SELECT count(*) INTO own FROM accounts_user u
     WHERE u.id = NEW.approved_by_id AND lower(u.email) = lower(NEW.author);
    IF own > 0 THEN
        RAISE EXCEPTION '% was approved by whoever asked for it', TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END IF;
"""


def billing_settings_triggers() -> list[pgtrigger.Trigger]:
    """Settings are newer rows; a higher limit for one person alone takes two. The first row is the installation's."""
    return [
        *append_only(),
        refusing(
            "higher_limit_is_approved",
            pgtrigger.Insert,
            f"""
            {LIMIT_IN_FORCE}
            IF NEW.approved_by_id IS NULL AND NEW.approval_above_micro > most THEN
                RAISE EXCEPTION 'a higher limit needs a second person' USING ERRCODE = 'check_violation';
            END IF;
            {NOT_BY_ITS_AUTHOR}
            RETURN NEW;
            """,
            when=pgtrigger.Before,
            declare=[("most", "bigint"), ("own", "bigint")],
        ),
    ]


def overage_contract_triggers() -> list[pgtrigger.Trigger]:
    return [*append_only(), approved_above_the_limit("NEW.limit_month_micro")]


# Locking the code makes redemptions of it queue up, so that the last one can't be had twice.
_WITHIN_CODE = """
    SELECT * INTO STRICT c FROM billing_promotioncode WHERE id = NEW.promotion_id FOR UPDATE;
    SELECT count(*) INTO used FROM billing_redemption r WHERE r.promotion_id = c.id;
    IF used >= c.max_redemptions THEN
        RAISE EXCEPTION 'code % was redeemed % times already', c.code, used USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.at < c.valid_from OR NEW.at >= c.valid_until OR c.withdrawn_at <= NEW.at THEN
        RAISE EXCEPTION 'code % is not valid at %', c.code, NEW.at USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""


# What a row says was given is what its transaction brought to the wallet's buckets.
def _given(amount: str) -> str:
    return f"""
        SELECT coalesce(sum(e.amount), 0) INTO given
          FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
          JOIN billing_account a ON a.id = e.account_id
         WHERE t.id = NEW.transaction_id AND t.organization_id = NEW.organization_id
           AND a.organization_id = t.organization_id AND a.kind IN ('purchased', 'promotional', 'overage');
        IF given <> ({amount}) THEN
            RAISE EXCEPTION '% % is not what its transaction brought (%)', TG_TABLE_NAME, NEW.id, given
                USING ERRCODE = 'check_violation';
        END IF;
    """


_GIVEN = [("given", "numeric")]


def redemption_triggers() -> list[pgtrigger.Trigger]:
    amount = "SELECT credits_micro FROM billing_promotioncode c WHERE c.id = NEW.promotion_id"
    return [
        *append_only(),
        refusing(
            "within_its_code",
            pgtrigger.Insert,
            _WITHIN_CODE,
            when=pgtrigger.Before,
            declare=[("c", "billing_promotioncode%ROWTYPE"), ("used", "bigint")],
        ),
        deferred("brought_its_credits", pgtrigger.Insert, _given(amount) + "RETURN NULL;", declare=_GIVEN),
    ]


def sla_credit_triggers() -> list[pgtrigger.Trigger]:
    return [
        *append_only(),
        deferred(
            "brought_its_credits", pgtrigger.Insert, _given("NEW.amount") + "RETURN NULL;", declare=_GIVEN
        ),
    ]


_APPROVED = (
    LIMIT_IN_FORCE
    + """\
    IF NEW.approved_by_id IS NULL AND (most IS NULL OR abs(NEW.amount_micro) > most) THEN
        RAISE EXCEPTION 'adjustment % needs a second person', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""
)


def adjustment_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="request_is_fixed",
            fields=[
                "organization",
                "kind",
                "bucket",
                "amount_micro",
                "expires_at",
                "charge",
                "voids",
                "reason",
                "requested_by",
                "requested_at",
            ],
        ),
        refusing(
            "begins_requested",
            pgtrigger.Insert,
            """
            IF NEW.state <> 'requested' OR NEW.approved_by_id IS NOT NULL THEN
                RAISE EXCEPTION 'an adjustment begins as a request' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
            """,
            when=pgtrigger.Before,
        ),
        pgtrigger.FSM(
            name="decided_once",
            field="state",
            transitions=[("requested", to) for to in ("applied", "rejected", "withdrawn")],
        ),
        refusing(
            "approved_above_the_limit",
            pgtrigger.Update,
            _APPROVED,
            when=pgtrigger.Before,
            condition=pgtrigger.Q(new__state="applied", old__state="requested"),
            declare=[("most", "bigint")],
        ),
        deferred(
            "did_what_it_says",
            pgtrigger.Update,
            _given("NEW.amount_micro") + "RETURN NULL;",
            declare=_GIVEN,
            condition=pgtrigger.Q(new__state="applied", old__state="requested"),
        ),
    ]


# A budget of one organization is for its own members' and keys' work.
_OWN_KEY = """
    IF NEW.api_key_id IS NOT NULL THEN
        SELECT organization_id INTO owner FROM accounts_apikey WHERE id = NEW.api_key_id;
        IF owner <> NEW.organization_id THEN
            RAISE EXCEPTION 'budget for a key of another organization' USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
"""


def budget_triggers() -> list[pgtrigger.Trigger]:
    return [
        pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        pgtrigger.ReadOnly(name="identity_is_fixed", fields=["organization", "scope", "user", "api_key"]),
        refusing(
            "is_for_its_own",
            pgtrigger.Insert,
            _OWN_KEY,
            when=pgtrigger.Before,
            declare=[("owner", "bigint")],
        ),
    ]


# What a month's overage comes to: opened for it, less what came back. Asked once nothing of it is open.
_INVOICED = """
    SELECT count(*) INTO still_open FROM billing_holdpart p JOIN billing_hold h ON h.id = p.hold_id
     WHERE p.account_id = NEW.account_id AND h.state = 'open';
    SELECT coalesce(-sum(e.amount), 0) INTO used
      FROM billing_entry own JOIN billing_transaction t ON t.id = own.transaction_id
      JOIN billing_entry e ON e.transaction_id = t.id
      JOIN billing_account a ON a.id = e.account_id AND a.kind = 'overage' AND a.organization_id IS NULL
     WHERE own.account_id = NEW.account_id AND t.organization_id = NEW.organization_id;
    IF still_open > 0 OR used <> NEW.amount_micro THEN
        RAISE EXCEPTION 'invoice of % is % micro-credits, used were %, % holds are open', NEW.month,
            NEW.amount_micro, used, still_open USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""


def invoice_triggers() -> list[pgtrigger.Trigger]:
    return [
        *kept(),
        pgtrigger.ReadOnly(
            name="identity_is_fixed",
            fields=[
                "organization",
                "contract",
                "account",
                "month",
                "amount_micro",
                "amount_cents",
                "issued_at",
            ],
        ),
        refusing(
            "is_what_was_used",
            pgtrigger.Insert,
            _INVOICED,
            when=pgtrigger.Before,
            declare=[("still_open", "bigint"), ("used", "numeric")],
        ),
        pgtrigger.FSM(name="settled_once", field="state", transitions=[("open", "paid"), ("open", "void")]),
        refusing(
            "approved_above_the_limit",
            pgtrigger.Update,
            f"""
            {LIMIT_IN_FORCE}
            IF NEW.approved_by_id IS NULL AND (most IS NULL OR NEW.amount_micro > most) THEN
                RAISE EXCEPTION 'invoice % needs a second person', NEW.id USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
            """,
            when=pgtrigger.Before,
            condition=pgtrigger.Q(old__state="open") & ~pgtrigger.Q(new__state="open"),
            declare=[("most", "bigint")],
        ),
    ]


def notice_triggers() -> list[pgtrigger.Trigger]:
    """Whoever tells a customer something has it mailed: the event is written with the row, once."""
    return [
        pgtrigger.Trigger(
            name="is_mailed",
            when=pgtrigger.After,
            operation=pgtrigger.Insert,
            func="""
                INSERT INTO accounts_outboxevent (topic, key, payload, organization_id)
                VALUES ('notice.mail', NEW.id::text, jsonb_build_object('notice', NEW.id), NEW.organization_id)
                ON CONFLICT (topic, key) DO NOTHING;
                RETURN NULL;
            """,
        ),
    ]
