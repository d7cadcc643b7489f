"""The statements of a replay. `{schema}` is the scratch schema, `%(since)s` the moment from which it replays."""

BUILD = """
CREATE UNLOGGED TABLE {schema}.replayed AS
    SELECT t.id, t.organization_id, t.kind, t.operation, t.hold_id, t.charge_id, t.payment_id, t.reverses_id,
           t.available_after, t.held_after
      FROM billing_transaction t WHERE t.at >= %(since)s;
ALTER TABLE {schema}.replayed ADD PRIMARY KEY (id);
CREATE UNLOGGED TABLE {schema}.moves (transaction_id bigint, account_id bigint, amount numeric);
CREATE UNLOGGED TABLE {schema}.standing AS
    SELECT id, organization_id, kind FROM billing_account WHERE kind NOT IN ('promotional')
       AND (kind <> 'overage' OR organization_id IS NULL);
-- A part's share of the charge that follows from usage and price: parts are taken in their order.
CREATE UNLOGGED TABLE {schema}.worth AS
    SELECT h.id AS hold_id, h.organization_id,
           div(2 * d.units_micro::numeric * q.micro_per_unit + 1000000, 2000000) AS quoted,
           CASE WHEN u.id IS NULL OR u.outcome NOT IN ('delivered', 'cached', 'cancelled') THEN 0
                ELSE least(h.amount, div(2 * u.units_micro::numeric * p.micro_per_unit + 1000000, 2000000)) END AS due
      FROM billing_hold h
      JOIN billing_decision d ON d.id = h.decision_id JOIN billing_priceversion q ON q.id = d.price_version_id
      LEFT JOIN billing_usageevent u ON u.hold_id = h.id LEFT JOIN billing_charge c ON c.usage_event_id = u.id
      LEFT JOIN billing_priceversion p ON p.id = c.price_version_id
     WHERE h.id IN (SELECT hold_id FROM {schema}.replayed);
ALTER TABLE {schema}.worth ADD PRIMARY KEY (hold_id);
"""

DERIVED = (
    # A hold: out of its parts' buckets, into what is held.
    """
    INSERT INTO {schema}.moves
    SELECT r.id, s.id, w.quoted FROM {schema}.replayed r JOIN {schema}.worth w ON w.hold_id = r.hold_id
      JOIN {schema}.standing s ON s.organization_id = r.organization_id AND s.kind = 'held'
     WHERE r.operation = 'hold'
    UNION ALL
    SELECT r.id, p.account_id, -p.amount FROM {schema}.replayed r JOIN billing_holdpart p ON p.hold_id = r.hold_id
     WHERE r.operation = 'hold'
    """,
    # Its end: the charge to revenue, the rest back to the parts that it did not take.
    """
    INSERT INTO {schema}.moves
    SELECT r.id, s.id, -w.quoted FROM {schema}.replayed r JOIN {schema}.worth w ON w.hold_id = r.hold_id
      JOIN {schema}.standing s ON s.organization_id = r.organization_id AND s.kind = 'held'
     WHERE r.operation = 'resolve'
    UNION ALL
    SELECT r.id, s.id, w.due FROM {schema}.replayed r JOIN {schema}.worth w ON w.hold_id = r.hold_id
      JOIN {schema}.standing s ON s.organization_id IS NULL AND s.kind = 'revenue'
     WHERE r.operation = 'resolve' AND w.due > 0
    UNION ALL
    SELECT b.id, b.account_id, b.back FROM (
        SELECT r.id, p.account_id,
               p.amount - greatest(0, least(p.amount, w.due - (sum(p.amount) OVER before - p.amount))) AS back
          FROM {schema}.replayed r JOIN {schema}.worth w ON w.hold_id = r.hold_id
          JOIN billing_holdpart p ON p.hold_id = r.hold_id WHERE r.operation = 'resolve'
        WINDOW before AS (PARTITION BY r.id ORDER BY p.position)) b
     WHERE b.back <> 0
    """,
    # A purchase and the refund of one: between cash and what was purchased.
    """
    INSERT INTO {schema}.moves
    SELECT r.id, s.id, CASE WHEN s.organization_id IS NULL THEN -m.amount ELSE m.amount END
      FROM {schema}.replayed r
      JOIN (SELECT t.id, p.credits_micro AS amount FROM {schema}.replayed t JOIN billing_payment p
                ON p.id = t.payment_id AND t.kind = 'purchase'
            UNION ALL SELECT f.transaction_id, -f.credits_micro FROM billing_refund f) m ON m.id = r.id
      JOIN {schema}.standing s ON (s.organization_id = r.organization_id AND s.kind = 'purchased')
                               OR (s.organization_id IS NULL AND s.kind = 'cash')
    """,
    # What has a row of its own that says how much was given: codes, late clips, adjustments up or down.
    """
    INSERT INTO {schema}.moves
    SELECT r.id, e.account_id, CASE WHEN a.organization_id IS NULL THEN -m.amount ELSE m.amount END
      FROM {schema}.replayed r
      JOIN (SELECT x.transaction_id, c.credits_micro AS amount
              FROM billing_redemption x JOIN billing_promotioncode c ON c.id = x.promotion_id
            UNION ALL SELECT x.transaction_id, g.credit_micro
              FROM billing_slacredit x JOIN billing_slatarget g ON g.id = x.target_id
            UNION ALL SELECT x.transaction_id, x.amount_micro
              FROM billing_adjustment x WHERE x.state = 'applied' AND x.kind IN ('grant', 'adjust')
           ) m ON m.transaction_id = r.id
      JOIN billing_entry e ON e.transaction_id = r.id JOIN billing_account a ON a.id = e.account_id
    """,
    # A void: what it takes back, the other way round.
    """
    INSERT INTO {schema}.moves
    SELECT r.id, e.account_id, -e.amount
      FROM {schema}.replayed r JOIN billing_entry e ON e.transaction_id = r.reverses_id
    """,
    # The rest: their entries are the record.
    """
    INSERT INTO {schema}.moves
    SELECT r.id, e.account_id, e.amount FROM {schema}.replayed r JOIN billing_entry e ON e.transaction_id = r.id
     WHERE NOT EXISTS (SELECT 1 FROM {schema}.moves m WHERE m.transaction_id = r.id)
    """,
    """
    CREATE UNLOGGED TABLE {schema}.balances AS
    SELECT a.id AS account_id, a.organization_id, a.kind, coalesce(b.amount, 0) AS before,
           coalesce(b.amount, 0) + coalesce(m.amount, 0) AS replayed, a.balance AS stored
      FROM billing_account a
      LEFT JOIN (SELECT e.account_id, sum(e.amount) AS amount FROM billing_entry e
                  WHERE NOT EXISTS (SELECT 1 FROM {schema}.replayed r WHERE r.id = e.transaction_id)
                  GROUP BY 1) b ON b.account_id = a.id
      LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM {schema}.moves GROUP BY 1) m ON m.account_id = a.id
     WHERE a.organization_id IS NOT NULL
    """,
)

COMPARE = {
    "entry is what its record says": """
        SELECT r.organization_id, r.kind || ':' || r.id || ' on ' || a.kind || ':' || a.id,
               coalesce(d.derived, 0), coalesce(d.stored, 0)
          FROM (SELECT coalesce(m.transaction_id, e.transaction_id) AS transaction_id,
                       coalesce(m.account_id, e.account_id) AS account_id, m.amount AS derived, e.amount AS stored
                  FROM (SELECT transaction_id, account_id, sum(amount) AS amount FROM {schema}.moves GROUP BY 1, 2) m
                  FULL JOIN (SELECT e.* FROM billing_entry e JOIN {schema}.replayed r ON r.id = e.transaction_id) e
                         ON e.transaction_id = m.transaction_id AND e.account_id = m.account_id) d
          JOIN {schema}.replayed r ON r.id = d.transaction_id JOIN billing_account a ON a.id = d.account_id
         WHERE coalesce(d.derived, 0) <> coalesce(d.stored, 0)
    """,
    "balance is what was replayed": """
        SELECT organization_id, kind || ':' || account_id, replayed, stored
          FROM {schema}.balances WHERE replayed <> stored
    """,
    "running balance is what was replayed": """
        WITH before AS (
            SELECT organization_id,
                   coalesce(sum(before) FILTER (WHERE kind NOT IN ('held', 'receivable')), 0) AS available,
                   coalesce(sum(before) FILTER (WHERE kind = 'held'), 0) AS held
              FROM {schema}.balances GROUP BY 1
        ), moved AS (
            SELECT r.id, r.organization_id, r.available_after, r.held_after,
                   coalesce(sum(m.amount) FILTER (WHERE a.kind NOT IN ('held', 'receivable')), 0) AS available,
                   coalesce(sum(m.amount) FILTER (WHERE a.kind = 'held'), 0) AS held
              FROM {schema}.replayed r
              LEFT JOIN ({schema}.moves m JOIN billing_account a
                    ON a.id = m.account_id AND a.organization_id IS NOT NULL) ON m.transaction_id = r.id
             GROUP BY r.id
        ), folded AS (
            SELECT v.id, v.organization_id, v.available_after, v.held_after,
                   b.available + sum(v.available) OVER so_far AS available,
                   b.held + sum(v.held) OVER so_far AS held
              FROM moved v JOIN before b ON b.organization_id = v.organization_id
            WINDOW so_far AS (PARTITION BY v.organization_id ORDER BY v.id)
        )
        SELECT organization_id, 'transaction:' || id, available || ' and ' || held,
               available_after || ' and ' || held_after
          FROM folded WHERE available <> available_after OR held <> held_after
    """,
}
