"""What the clients were told, held against the database: nothing lost, nothing twice, nothing broken."""

from collections import Counter
from pathlib import Path

from django.db import connection

from billing.reconciliation import reconcile
from billing.replay import replay
from tests.faults.hammer.journal import past

# For each kind of answer: the rows that it must have left, as (key, amount), looked up by (organization, key).
RECORDS = {
    "held": """SELECT o.slug, h.subject, h.amount FROM billing_hold h
                 JOIN accounts_organization o ON o.id = h.organization_id""",
    "charged": """SELECT o.slug, u.subject, c.amount FROM billing_charge c JOIN billing_usageevent u
                      ON u.id = c.usage_event_id JOIN accounts_organization o ON o.id = c.organization_id""",
    "released": """SELECT o.slug, h.subject, true FROM billing_hold h JOIN accounts_organization o
                       ON o.id = h.organization_id
                    WHERE h.state = 'released'
                      AND NOT EXISTS (SELECT 1 FROM billing_usageevent u WHERE u.hold_id = h.id)""",
    "paid": """SELECT o.slug, p.idempotency_key, sum(e.amount) FROM billing_transaction t
                 JOIN billing_payment p ON p.id = t.payment_id AND t.kind = 'purchase'
                 JOIN billing_entry e ON e.transaction_id = t.id JOIN billing_account a
                      ON a.id = e.account_id AND a.kind = 'purchased'
                 JOIN accounts_organization o ON o.id = t.organization_id GROUP BY 1, 2""",
    "refund": """SELECT o.slug, r.idempotency_key, r.credits_micro FROM billing_refund r JOIN billing_payment p
                     ON p.id = r.payment_id JOIN accounts_organization o ON o.id = p.organization_id""",
    "redeemed": """SELECT o.slug, c.code, c.code FROM billing_redemption r JOIN billing_promotioncode c
                       ON c.id = r.promotion_id JOIN accounts_organization o ON o.id = r.organization_id""",
    "dispute": """SELECT o.slug, substr(e.provider_event_id, length('evt_closed-') + 1), e.detail ->> 'dispute_standing'
                    FROM billing_paymentevent e JOIN billing_payment p ON p.id = e.payment_id
                    JOIN accounts_organization o ON o.id = p.organization_id
                   WHERE e.provider_event_id LIKE 'evt_closed-%%'""",
}
POSTED = """SELECT o.slug, t.idempotency_key, sum(e.amount) FROM billing_transaction t
              JOIN accounts_organization o ON o.id = t.organization_id
              JOIN billing_entry e ON e.transaction_id = t.id
              JOIN billing_account a ON a.id = e.account_id AND a.organization_id IS NOT NULL
             WHERE t.operation = '{operation}' AND t.idempotency_key LIKE 'c%%' GROUP BY t.id, 1, 2"""
RECORDS |= {
    "granted": POSTED.format(operation="grant"),
    "adjusted": POSTED.format(operation="adjustment"),
    "given_back": POSTED.format(operation="refund"),
    "voided": POSTED.format(operation="void").replace("sum(e.amount)", "true"),
}
BY_SUBJECT = ("charged", "released")  # known by the hold that they end


def judge(journals: list[Path]) -> dict:
    """Counts of what was answered, lost, doubled, and of broken invariants, with a few of each by name."""
    answered = [pair for path in journals for pair in past(path)]
    told, open_intents = _told(answered)
    lost, doubled, unexplained = [], [], []
    for kind, query in RECORDS.items():
        rows = _rows(query)
        seen = Counter((slug, key) for slug, key, _ in rows)
        amounts = {(slug, key): amount for slug, key, amount in rows}
        mine = told[kind]
        lost += [
            f"{kind} {at}: {amounts.get(at)}, {mine[at]} was answered"
            for at in mine
            if amounts.get(at) != mine[at]
        ]
        doubled += [f"{kind} {at}: {count} times" for at, count in seen.items() if count > 1]
        unexplained += [f"{kind} {at}: nobody was told" for at in seen if at not in mine]
    drift = [
        f"{d.organization}: {d.check}: {d.subject}: {d.expected}, not {d.found}" for d in reconcile().drift
    ]
    count, differences = replay()
    drift += [f"replay: {d.check}: {d.subject}: {d.expected}, not {d.found}" for d in differences]
    return {
        "answered": len(answered) - open_intents,
        "refused": sum(1 for _, answer in answered if answer and "refused" in answer),
        "unanswered": open_intents,
        "lost": len(lost),
        "duplicated": len(doubled) + len(unexplained),
        "broken": len(drift),
        "transactions": count,
        "by_kind": dict(Counter(intent["name"] for intent, _ in answered)),
        "named": (lost + doubled + unexplained + drift)[:20],
    }


def _told(answered: list[tuple[dict, dict | None]]) -> tuple[dict[str, dict], int]:
    told: dict[str, dict] = {kind: {} for kind in RECORDS}
    open_intents = 0
    for intent, answer in answered:
        if answer is None:
            open_intents += 1
            continue
        for kind, amount in answer.items():
            if kind in told:
                key = intent["of"] if kind in BY_SUBJECT else amount if kind == "redeemed" else intent["key"]
                told[kind][intent["slug"], key] = amount
        if intent["name"] == "redeem" and answer.get("refused") == "already_decided":
            # By another client, or by this one's first try, whose answer was lost: then it stands all the same.
            told["redeemed"][intent["slug"], intent["code"]] = intent["code"]
    return told, open_intents


def _rows(query: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(query, [])
        return cursor.fetchall()
