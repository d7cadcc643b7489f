"""The checks of a reconciliation that are about payments, refunds, disputes, overage and given credits.

Each is a query that returns a row per drift: organization id, subject, expected (recomputed), found (stored).
"""

# What a transaction brought to the buckets of its own organization, in micro-credits.
_BROUGHT = """
    (SELECT coalesce(sum(e.amount), 0) FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
       JOIN billing_account a ON a.id = e.account_id AND a.organization_id = t.organization_id
      WHERE t.id = {transaction} AND a.kind IN ('purchased', 'promotional', 'overage'))
"""

# Which of the platform's accounts each kind of transaction moves.
_ACROSS = (
    ("grant", "grants"),
    ("promotion", "grants"),
    ("adjustment", "grants"),
    ("allowance", "allowance"),
    ("overage", "overage"),
    ("charge", "revenue"),
    ("refund", "revenue"),
    ("sla_credit", "sla"),
    ("purchase", "cash"),
    ("pay_refund", "cash"),
    ("dispute", "cash"),
    ("dispute_won", "cash"),
    ("invoice", "cash"),
    ("invoice", "overage"),
    ("expiry", "grants"),
    ("expiry", "allowance"),
    ("expiry", "overage"),
    ("void", "grants"),
    ("void", "sla"),
    ("void", "cash"),
    ("void", "overage"),
)

CHECKS: dict[str, str] = {
    "cash of a payment is what its state says": """
        WITH kept AS (
            SELECT t.payment_id, -sum(e.amount) AS cash,
                   coalesce(sum(e.amount) FILTER (WHERE t.kind IN ('dispute', 'dispute_won')), 0) AS disputed
              FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
              JOIN billing_account a ON a.id = e.account_id AND a.kind = 'cash'
             WHERE t.payment_id IS NOT NULL GROUP BY t.payment_id
        ), back AS (
            SELECT payment_id, sum(credits_micro) AS credits FROM billing_refund WHERE state <> 'failed' GROUP BY 1
        ), due AS (
            SELECT p.organization_id, p.id, coalesce(k.cash, 0) AS cash,
                   CASE WHEN p.paid_at IS NULL THEN 0 ELSE p.credits_micro - coalesce(b.credits, 0) END
                   - CASE WHEN p.state IN ('disputed', 'lost') THEN coalesce(k.disputed, 0) ELSE 0 END AS expected
              FROM billing_payment p LEFT JOIN kept k ON k.payment_id = p.id
              LEFT JOIN back b ON b.payment_id = p.id
        )
        SELECT organization_id, 'payment:' || id, expected, cash FROM due WHERE cash <> expected
    """,
    "state of a payment follows from its refunds": """
        WITH back AS (
            SELECT p.organization_id, p.id, p.state, CASE
                     WHEN coalesce(sum(r.credits_micro), 0) = 0 THEN 'paid'
                     WHEN sum(r.credits_micro) = p.credits_micro THEN 'refunded'
                     ELSE 'partly_refunded' END AS expected
              FROM billing_payment p
              LEFT JOIN billing_refund r ON r.payment_id = p.id AND r.state <> 'failed'
             WHERE p.state IN ('paid', 'partly_refunded', 'refunded') GROUP BY p.id
        )
        SELECT organization_id, 'payment:' || id, expected, state FROM back WHERE state <> expected
    """,
    "refund of a payment left the wallet": """
        SELECT p.organization_id, 'refund:' || r.id, r.credits_micro, coalesce(sum(e.amount), 0)
          FROM billing_refund r JOIN billing_payment p ON p.id = r.payment_id
          LEFT JOIN (billing_entry e JOIN billing_account a ON a.id = e.account_id AND a.kind = 'cash')
                ON e.transaction_id = r.transaction_id
         GROUP BY r.id, p.id HAVING coalesce(sum(e.amount), 0) <> r.credits_micro
    """,
    "refund that failed came back": """
        SELECT p.organization_id, 'refund:' || r.id,
               CASE WHEN r.state = 'failed' THEN 'reversed' ELSE 'stands' END,
               CASE WHEN v.id IS NULL THEN 'stands' ELSE 'reversed' END
          FROM billing_refund r JOIN billing_payment p ON p.id = r.payment_id
          LEFT JOIN billing_transaction v ON v.reverses_id = r.transaction_id
         WHERE (r.state = 'failed') <> (v.id IS NOT NULL)
    """,
    "what is owed comes from disputes": """
        SELECT t.organization_id, 'transaction:' || t.id, 'dispute, dispute_won or recovery', t.kind
          FROM billing_entry e JOIN billing_account a ON a.id = e.account_id AND a.kind = 'receivable'
          JOIN billing_transaction t ON t.id = e.transaction_id
         WHERE t.kind NOT IN ('dispute', 'dispute_won', 'recovery')
    """,
    "adjustment did what it says": f"""
        SELECT j.organization_id, 'adjustment:' || j.id, j.amount_micro,
               {_BROUGHT.format(transaction="j.transaction_id")}
          FROM billing_adjustment j WHERE j.state = 'applied'
           AND j.amount_micro <> {_BROUGHT.format(transaction="j.transaction_id")}
    """,
    "code brought its credits": f"""
        SELECT r.organization_id, 'redemption:' || r.id, c.credits_micro,
               {_BROUGHT.format(transaction="r.transaction_id")}
          FROM billing_redemption r JOIN billing_promotioncode c ON c.id = r.promotion_id
         WHERE c.credits_micro <> {_BROUGHT.format(transaction="r.transaction_id")}
    """,
    "code was used as often as it may be": """
        SELECT min(r.organization_id), 'code:' || c.code, c.max_redemptions, count(*)
          FROM billing_promotioncode c JOIN billing_redemption r ON r.promotion_id = c.id
         GROUP BY c.id HAVING count(*) > c.max_redemptions
    """,
    "late clip was credited as its target says": f"""
        SELECT s.organization_id, 'sla_credit:' || s.id, g.credit_micro,
               {_BROUGHT.format(transaction="s.transaction_id")}
          FROM billing_slacredit s JOIN billing_slatarget g ON g.id = s.target_id
         WHERE g.credit_micro <> s.amount OR s.took_ms <= g.target_s * 1000
            OR g.credit_micro <> {_BROUGHT.format(transaction="s.transaction_id")}
    """,
    "overage of the month was opened once": """
        SELECT w.organization_id, 'overage:' || to_char(w.overage_month, 'YYYY-MM'),
               coalesce(sum(e.amount), 0), w.overage_granted
          FROM billing_wallet w
          LEFT JOIN (billing_account a JOIN billing_entry e ON e.account_id = a.id
                     JOIN billing_transaction t ON t.id = e.transaction_id AND t.kind = 'overage')
                ON a.organization_id = w.organization_id AND a.kind = 'overage'
               AND a.expires_at = (w.overage_month + interval '1 month') AT TIME ZONE 'UTC'
         WHERE w.overage_month IS NOT NULL
         GROUP BY w.organization_id HAVING coalesce(sum(e.amount), 0) <> w.overage_granted
    """,
    "paid invoice reached cash": """
        SELECT i.organization_id, 'invoice:' || i.id, i.amount_micro, coalesce(-sum(e.amount), 0)
          FROM billing_invoice i
          LEFT JOIN (billing_entry e JOIN billing_account a ON a.id = e.account_id AND a.kind = 'cash')
                ON e.transaction_id = i.transaction_id
         WHERE i.state = 'paid' GROUP BY i.id HAVING coalesce(-sum(e.amount), 0) <> i.amount_micro
    """,
    "each kind moves between its own accounts": f"""
        SELECT t.organization_id, 'transaction:' || t.id, t.kind, a.kind
          FROM billing_entry e JOIN billing_account a ON a.id = e.account_id AND a.organization_id IS NULL
          JOIN billing_transaction t ON t.id = e.transaction_id
         WHERE (t.kind, a.kind) NOT IN ({", ".join(str(pair) for pair in _ACROSS)})
    """,
}
