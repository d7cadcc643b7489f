"""An organization's books as plain values without numbers and times, so that two organizations can be compared."""

from collections import Counter

from django.db import connection

TRANSACTIONS = """
SELECT t.operation, t.kind, t.available_after, t.held_after,
       string_agg(a.kind || ' ' || e.amount, ', ' ORDER BY a.kind, e.amount)
  FROM billing_transaction t JOIN billing_entry e ON e.transaction_id = t.id
  JOIN billing_account a ON a.id = e.account_id JOIN accounts_organization o ON o.id = t.organization_id
 WHERE o.slug = %s GROUP BY t.id ORDER BY t.id
"""
ROWS = {
    "accounts": "SELECT kind, balance FROM billing_account a WHERE a.organization_id = {o}",
    "holds": "SELECT state, amount, captured FROM billing_hold h WHERE h.organization_id = {o}",
    "charges": "SELECT amount, reason_code FROM billing_charge c WHERE c.organization_id = {o}",
    "payments": "SELECT state, purpose, credits_micro FROM billing_payment p WHERE p.organization_id = {o}",
    "refunds": """SELECT r.state, r.credits_micro FROM billing_refund r JOIN billing_payment p ON p.id = r.payment_id
                   WHERE p.organization_id = {o}""",
    "events": """SELECT e.kind, e.outcome FROM billing_paymentevent e JOIN billing_payment p ON p.id = e.payment_id
                  WHERE p.organization_id = {o}""",
    "redemptions": "SELECT 'redeemed' FROM billing_redemption r WHERE r.organization_id = {o}",
    "sla_credits": "SELECT amount FROM billing_slacredit s WHERE s.organization_id = {o}",
    "jobs_held": "SELECT allowed, quote_micro FROM billing_decision d WHERE d.organization_id = {o}",
}


def books_of(slug: str) -> list:
    """Transactions in order, then every other row of money, counted."""
    with connection.cursor() as cursor:
        cursor.execute(TRANSACTIONS, [slug])
        found: list = [list(row) for row in cursor.fetchall()]
        for name, query in ROWS.items():
            own = query.format(o="(SELECT id FROM accounts_organization WHERE slug = %s)")
            cursor.execute(own, [slug])
            counted = Counter(" ".join(map(str, row)) for row in cursor.fetchall())
            found.append([name, sorted(counted.items())])
    return found
