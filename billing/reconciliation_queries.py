"""The checks of a reconciliation that the database can make by itself.

Each is a query that returns a row per drift: organization id, subject, expected (recomputed), found (stored).
"""

_TAKEN = """
    -- What a part of a hold has taken from its bucket: all of it while the hold is open, then what was captured of it.
    SELECT p.id, p.account_id, p.allowance_day, h.organization_id,
           CASE WHEN h.state = 'open' THEN p.amount
                ELSE greatest(0, least(p.amount, h.captured - (sum(p.amount) OVER before - p.amount))) END AS taken
      FROM billing_holdpart p JOIN billing_hold h ON h.id = p.hold_id
    WINDOW before AS (PARTITION BY p.hold_id ORDER BY p.position)
"""

CHECKS: dict[str, str] = {
    "entries sum to zero": """
        SELECT t.organization_id, 'transaction:' || t.id, 0, coalesce(sum(e.amount), 0)
          FROM billing_transaction t LEFT JOIN billing_entry e ON e.transaction_id = t.id
         GROUP BY t.id HAVING coalesce(sum(e.amount), 0) <> 0 OR count(e.id) < 2
    """,
    "entries stay in their organization": """
        SELECT t.organization_id, 'entry:' || e.id, t.organization_id, a.organization_id
          FROM billing_entry e JOIN billing_transaction t ON t.id = e.transaction_id
          JOIN billing_account a ON a.id = e.account_id
         WHERE a.organization_id <> t.organization_id
    """,
    "balance is the sum of its entries": """
        SELECT a.organization_id, a.kind || ':' || a.id, coalesce(sum(e.amount), 0), a.balance
          FROM billing_account a LEFT JOIN billing_entry e ON e.account_id = a.id
         WHERE a.organization_id IS NOT NULL
         GROUP BY a.id HAVING coalesce(sum(e.amount), 0) <> a.balance
    """,
    "running balance is the sum so far": """
        WITH moved AS (
            SELECT t.id, t.organization_id, t.available_after, t.held_after,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind NOT IN ('held', 'receivable')), 0) AS available,
                   coalesce(sum(e.amount) FILTER (WHERE a.kind = 'held'), 0) AS held
              FROM billing_transaction t
              LEFT JOIN (billing_entry e JOIN billing_account a
                    ON a.id = e.account_id AND a.organization_id IS NOT NULL) ON e.transaction_id = t.id
             GROUP BY t.id
        ), folded AS (
            SELECT *, sum(available) OVER so_far AS available_so_far, sum(held) OVER so_far AS held_so_far
              FROM moved WINDOW so_far AS (PARTITION BY organization_id ORDER BY id)
        )
        SELECT organization_id, 'transaction:' || id, available_so_far || ' and ' || held_so_far,
               available_after || ' and ' || held_after
          FROM folded WHERE available_so_far <> available_after OR held_so_far <> held_after
    """,
    "held account is the sum of open holds": """
        SELECT a.organization_id, 'held:' || a.id, coalesce(sum(h.amount), 0), a.balance
          FROM billing_account a
          LEFT JOIN billing_hold h ON h.organization_id = a.organization_id AND h.state = 'open'
         WHERE a.kind = 'held'
         GROUP BY a.id HAVING coalesce(sum(h.amount), 0) <> a.balance
    """,
    "hold lies in the held account while it is open": """
        SELECT h.organization_id, h.subject, CASE WHEN h.state = 'open' THEN h.amount ELSE 0 END,
               coalesce(sum(e.amount), 0)
          FROM billing_hold h
          LEFT JOIN (billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
                     JOIN billing_account a ON a.id = e.account_id AND a.kind = 'held') ON t.hold_id = h.id
         GROUP BY h.id
        HAVING coalesce(sum(e.amount), 0) <> CASE WHEN h.state = 'open' THEN h.amount ELSE 0 END
    """,
    "parts make up the hold": """
        SELECT h.organization_id, h.subject, h.amount, coalesce(sum(p.amount), 0)
          FROM billing_hold h LEFT JOIN billing_holdpart p ON p.hold_id = h.id
         GROUP BY h.id HAVING coalesce(sum(p.amount), 0) <> h.amount
    """,
    "every usage event has a charge": """
        SELECT u.organization_id, u.subject, 'a charge', 'none'
          FROM billing_usageevent u LEFT JOIN billing_charge c ON c.usage_event_id = u.id
         WHERE c.id IS NULL
    """,
    "charge is what its hold captured": """
        SELECT c.organization_id, u.subject, h.captured, c.amount
          FROM billing_charge c JOIN billing_usageevent u ON u.id = c.usage_event_id
          JOIN billing_hold h ON h.id = u.hold_id
         WHERE h.captured <> c.amount OR h.state = 'open'
    """,
    "captured hold has a charge": """
        SELECT h.organization_id, h.subject, 0, h.captured
          FROM billing_hold h LEFT JOIN billing_usageevent u ON u.hold_id = h.id
         WHERE h.captured > 0 AND u.id IS NULL
    """,
    "charge is what reached revenue": """
        SELECT c.organization_id, 'charge:' || c.id, c.amount, coalesce(sum(e.amount), 0)
          FROM billing_charge c
          LEFT JOIN (billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
                     JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue')
                ON t.charge_id = c.id AND t.kind <> 'refund'
         GROUP BY c.id HAVING coalesce(sum(e.amount), 0) <> c.amount
    """,
    "revenue comes from charges alone": """
        SELECT t.organization_id, 'transaction:' || t.id, 0, e.amount
          FROM billing_entry e JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
          JOIN billing_transaction t ON t.id = e.transaction_id
         WHERE t.charge_id IS NULL
    """,
    "refunds stay within their charge": """
        SELECT c.organization_id, 'charge:' || c.id, c.amount, -sum(e.amount)
          FROM billing_charge c JOIN billing_transaction t ON t.charge_id = c.id AND t.kind = 'refund'
          JOIN billing_entry e ON e.transaction_id = t.id
          JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
         GROUP BY c.id HAVING -sum(e.amount) > c.amount
    """,
    "a paid payment is granted once": """
        SELECT p.organization_id, 'payment:' || p.id,
               CASE WHEN p.paid_at IS NULL THEN 0 ELSE p.credits_micro END, coalesce(-sum(e.amount), 0)
          FROM billing_payment p
          LEFT JOIN (billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
                     JOIN billing_account a ON a.id = e.account_id AND a.kind = 'cash')
                ON t.payment_id = p.id AND t.kind = 'purchase'
         GROUP BY p.id
        HAVING coalesce(-sum(e.amount), 0) <> CASE WHEN p.paid_at IS NULL THEN 0 ELSE p.credits_micro END
    """,
    "refunds stay within their payment": """
        SELECT p.organization_id, 'payment:' || p.id, p.credits_micro, sum(r.credits_micro)
          FROM billing_payment p JOIN billing_refund r ON r.payment_id = p.id AND r.state <> 'failed'
         GROUP BY p.id HAVING sum(r.credits_micro) > p.credits_micro OR sum(r.amount_cents) > p.amount_cents
    """,
    "invoice is what was used": """
        SELECT i.organization_id, 'invoice:' || to_char(i.month, 'YYYY-MM'), -sum(e.amount), i.amount_micro
          FROM billing_invoice i JOIN billing_entry own ON own.account_id = i.account_id
          JOIN billing_transaction t ON t.id = own.transaction_id
          JOIN billing_entry e ON e.transaction_id = t.id
          JOIN billing_account a ON a.id = e.account_id AND a.kind = 'overage' AND a.organization_id IS NULL
         GROUP BY i.id HAVING -sum(e.amount) <> i.amount_micro
    """,
    "budget counts what was used": """
        SELECT b.organization_id, 'budget:' || b.id || ':' || to_char(m.month, 'YYYY-MM'),
               coalesce(sum(CASE WHEN h.state = 'open' THEN h.amount ELSE h.captured END), 0), m.used_micro
          FROM billing_budgetmonth m JOIN billing_budget b ON b.id = m.budget_id AND b.removed_at IS NULL
          LEFT JOIN (billing_decision d JOIN billing_hold h ON h.decision_id = d.id)
                ON d.organization_id = b.organization_id
               AND d.at >= m.month::timestamp AT TIME ZONE 'UTC'
               AND d.at < (m.month + interval '1 month') AT TIME ZONE 'UTC'
               AND (b.user_id IS NULL OR d.user_id = b.user_id)
               AND (b.api_key_id IS NULL OR d.api_key_id = b.api_key_id)
         GROUP BY b.id, m.id
        HAVING coalesce(sum(CASE WHEN h.state = 'open' THEN h.amount ELSE h.captured END), 0) <> m.used_micro
    """,
    "allowance of the day adds up": f"""
        WITH parts AS ({_TAKEN})
        SELECT w.organization_id, 'allowance:' || w.allowance_day,
               a.balance + coalesce(sum(p.taken), 0), w.allowance_day_granted
          FROM billing_wallet w
          JOIN billing_account a ON a.organization_id = w.organization_id AND a.kind = 'allowance'
          LEFT JOIN parts p ON p.organization_id = w.organization_id AND p.allowance_day = w.allowance_day
         GROUP BY w.organization_id, a.id
        HAVING a.balance + coalesce(sum(p.taken), 0) <> w.allowance_day_granted
    """,
    "allowance of the month adds up": f"""
        WITH parts AS ({_TAKEN})
        SELECT w.organization_id, 'allowance:' || to_char(w.allowance_day, 'YYYY-MM'),
               coalesce(sum(p.taken), 0), w.allowance_month_spent
          FROM billing_wallet w
          LEFT JOIN parts p ON p.organization_id = w.organization_id AND p.allowance_day < w.allowance_day
           AND p.allowance_day >= date_trunc('month', w.allowance_day)
         GROUP BY w.organization_id
        HAVING coalesce(sum(p.taken), 0) <> w.allowance_month_spent
    """,
}
