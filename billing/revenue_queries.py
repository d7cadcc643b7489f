"""The SQL of revenue.py. Days are days of UTC; `start` belongs to the span, `end` does not.

An organization of Backlot's own, whose jobs see that all works, is no customer: OWN alone counts it.
"""

from accounts.organizations import OWN as OWN_SLUG

_OWN_ID = f"(SELECT id FROM accounts_organization WHERE slug = '{OWN_SLUG}')"
_SPAN = "t.at >= %(start)s AND t.at < %(end)s"
_OF_SPAN = f"{_SPAN} AND t.organization_id IS DISTINCT FROM {_OWN_ID}"
_DAY = "(t.at AT TIME ZONE 'UTC')::date"
_REVENUE = """
  FROM billing_transaction t
  JOIN billing_entry e ON e.transaction_id = t.id
  JOIN billing_account a ON a.id = e.account_id AND a.organization_id IS NULL AND a.kind = 'revenue'
"""

BY_DAY = f"""
SELECT {_DAY}, t.kind, count(*), sum(e.amount) {_REVENUE}
 WHERE {_OF_SPAN} GROUP BY 1, 2 ORDER BY 1, 2
"""

OWN = (
    f"SELECT count(*), coalesce(sum(e.amount), 0) {_REVENUE} WHERE {_SPAN} AND t.organization_id = {_OWN_ID}"
)

# Parts of a hold are captured in their order: a part gives what the ones before it left to be taken.
_TAKEN = f"""
WITH taken AS (
    SELECT t.id, {_DAY} AS day, a.kind,
           greatest(0, least(p.amount, h.captured - (sum(p.amount) OVER earlier - p.amount))) AS micro
      FROM billing_transaction t
      JOIN billing_hold h ON h.id = t.hold_id
      JOIN billing_holdpart p ON p.hold_id = h.id
      JOIN billing_account a ON a.id = p.account_id
     WHERE t.kind = 'charge' AND {_OF_SPAN}
    WINDOW earlier AS (PARTITION BY p.hold_id ORDER BY p.position)
)
"""
BY_SOURCE = f"{_TAKEN} SELECT day, kind, sum(micro) FROM taken WHERE micro > 0 GROUP BY 1, 2 ORDER BY 1, 2"
LINES_OF_SOURCE = f"""
{_TAKEN} SELECT id, micro, count(*) OVER (), sum(micro) OVER ()
  FROM taken WHERE micro > 0 AND kind = %(bucket)s ORDER BY id DESC
"""

BY_MODEL = f"""
SELECT u.model, u.operation, u.outcome, count(*), sum(u.units_micro), sum(c.amount)
  FROM billing_usageevent u JOIN billing_charge c ON c.usage_event_id = u.id
 WHERE u.at >= %(start)s AND u.at < %(end)s AND u.organization_id IS DISTINCT FROM {_OWN_ID}
 GROUP BY 1, 2, 3 ORDER BY sum(c.amount) DESC, 1, 2, 3
"""

BY_ORGANIZATION = f"""
SELECT o.slug, o.name, found.lines, found.micro
  FROM (SELECT t.organization_id, count(*) AS lines, sum(e.amount) AS micro {_REVENUE}
         WHERE {_OF_SPAN} GROUP BY 1 ORDER BY sum(e.amount) DESC, 1 LIMIT %(limit)s) found
  JOIN accounts_organization o ON o.id = found.organization_id
 ORDER BY found.micro DESC, o.slug
"""

BY_KIND = f"""
SELECT t.kind, count(DISTINCT t.id), coalesce(sum(e.amount) FILTER (WHERE a.organization_id IS NOT NULL), 0)
  FROM billing_transaction t
  JOIN billing_entry e ON e.transaction_id = t.id
  JOIN billing_account a ON a.id = e.account_id
 WHERE {_OF_SPAN} GROUP BY 1 ORDER BY 2 DESC, 1
"""

PAYMENTS = """
SELECT p.state, p.currency, count(*), sum(p.amount_cents), sum(p.credits_micro), coalesce(sum(r.cents), 0)
  FROM billing_payment p
  LEFT JOIN LATERAL (
      SELECT sum(amount_cents) AS cents FROM billing_refund WHERE payment_id = p.id AND state <> 'failed'
  ) r ON true
 WHERE p.paid_at >= %(start)s AND p.paid_at < %(end)s
 GROUP BY 1, 2 ORDER BY 4 DESC, 1
"""

UNSPENT = f"""
SELECT kind, count(DISTINCT organization_id) FILTER (WHERE balance <> 0), sum(balance)
  FROM billing_account WHERE organization_id IS NOT NULL AND organization_id IS DISTINCT FROM {_OWN_ID}
 GROUP BY 1 ORDER BY 1
"""

# The balances of now (no day), and what each day since the start has moved: one statement, so one snapshot.
UNSPENT_BY_DAY = f"""
SELECT kind, NULL::date, sum(balance) FROM billing_account
 WHERE organization_id IS NOT NULL AND organization_id IS DISTINCT FROM {_OWN_ID} GROUP BY 1
UNION ALL
SELECT a.kind, {_DAY}, sum(e.amount)
  FROM billing_transaction t
  JOIN billing_entry e ON e.transaction_id = t.id
  JOIN billing_account a ON a.id = e.account_id AND a.organization_id IS NOT NULL
 WHERE t.at >= %(start)s AND a.organization_id IS DISTINCT FROM {_OWN_ID} GROUP BY 1, 2
"""

UNSPENT_ROWS = f"""
SELECT o.slug, a.kind, a.expires_at, a.balance
  FROM billing_account a JOIN accounts_organization o ON o.id = a.organization_id
 WHERE a.balance <> 0 AND o.slug <> '{OWN_SLUG}' ORDER BY o.slug, a.kind, a.expires_at, a.id
"""

LINE_ROWS = f"""
SELECT t.id, t.at, o.slug, t.kind, t.reason,
       coalesce(sum(e.amount) FILTER (WHERE a.organization_id IS NOT NULL), 0),
       coalesce(sum(e.amount) FILTER (WHERE a.organization_id IS NULL AND a.kind = 'revenue'), 0)
  FROM billing_transaction t
  JOIN accounts_organization o ON o.id = t.organization_id
  JOIN billing_entry e ON e.transaction_id = t.id
  JOIN billing_account a ON a.id = e.account_id
 WHERE {_OF_SPAN} AND t.id > %(after)s GROUP BY t.id, o.slug ORDER BY t.id LIMIT %(limit)s
"""
