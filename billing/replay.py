"""Build the balances again in a scratch schema, from the raw records of why money moved, and compare.

Reconciliation compares sums; this replays. For each transaction since a moment, what it should have moved is derived
from the record behind it, not from its entries: a hold from the units and price of its decision and its parts, a charge
from its usage event and price, a purchase from its payment, a refund, a code, an adjustment and a late clip's credit
from their rows, a void from what it takes back. Kinds without a record of their own (allowance, expiry, dispute,
recovery, invoice, refund of a charge, a plain grant) are replayed from their entries. The balances before that moment
are the fold of the entries before it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db import connection, transaction
from psycopg import sql

from accounts.models import Organization
from billing.reconciliation import Drift
from billing.replay_queries import BUILD, COMPARE, DERIVED

EVER = datetime(1970, 1, 1, tzinfo=UTC)


def replay(since: datetime = EVER, *, schema: str = "replay", keep: bool = False) -> tuple[int, list[Drift]]:
    """Replay what was posted at or after `since`: how many transactions, and each difference by name.

    In one snapshot of the database. The scratch schema is dropped at the end, or with `keep` left for a look: tables
    `moves` (transaction, account, amount derived) and `balances` (account, before, replayed, stored).
    """
    outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        name = sql.Identifier(schema)
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}").format(name))
        for statement in (BUILD, *DERIVED):
            cursor.execute(sql.SQL(statement).format(schema=name), {"since": since})
        cursor.execute(sql.SQL("SELECT count(*) FROM {schema}.replayed").format(schema=name))
        (count,) = cursor.fetchone()
        found = list(_differences(cursor, name))
        if not keep:
            cursor.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
    return count, sorted(found, key=lambda drift: (drift.organization, drift.check, drift.subject))


def _differences(cursor: object, schema: sql.Identifier) -> Iterator[Drift]:
    slugs = dict(Organization.objects.values_list("pk", "slug"))
    for check, statement in COMPARE.items():
        cursor.execute(sql.SQL(statement).format(schema=schema))
        for organization_id, subject, expected, found in cursor.fetchall():
            yield Drift(slugs.get(organization_id, "?"), check, subject, str(expected), str(found))
