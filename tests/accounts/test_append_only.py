"""What is written once stays: the database refuses, whoever asks."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts import audit, operations
from accounts.models import AuditEntry, OperationalEvent

pytestmark = pytest.mark.django_db

TABLES = ["accounts_auditentry", "accounts_operationalevent", "accounts_tierterms", "accounts_enrollment"]
HARMLESS_UPDATE = {
    "accounts_auditentry": "reason = reason",
    "accounts_operationalevent": "kind = kind",
    "accounts_tierterms": "steps = 50",
    "accounts_enrollment": "tier_id = 'enterprise'",
}


@pytest.fixture
def rows(organization, owner):
    audit.record(actor=owner, action="lane.weight", target="lane:plus", reason="r", before=2, after=4)
    operations.report("worker.lost", "warning", "worker:1", {"pid": 7})


def count(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement", ["UPDATE {table} SET {change}", "DELETE FROM {table}", "TRUNCATE {table} CASCADE"]
)
def test_rows_can_not_be_changed_deleted_or_truncated(rows, table, statement):
    before = count(table)
    assert before > 0
    with (
        pytest.raises(DatabaseError, match=r"[Cc]annot"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table=table, change=HARMLESS_UPDATE[table]))
    assert count(table) == before


def test_an_entry_says_who_what_and_why(organization, owner):
    entry = audit.record(
        actor=owner,
        action="lane.weight",
        target="lane:plus",
        reason="  a rush ",
        before={"weight": 2},
        after={"weight": 4},
        organization=organization,
    )
    entry.refresh_from_db()
    assert (entry.actor, entry.actor_name, entry.reason) == (owner, "owner@example.com", "a rush")
    assert (entry.before, entry.after, entry.undo) == ({"weight": 2}, {"weight": 4}, None)
    assert entry.at is not None


def test_the_system_is_an_actor_by_name():
    entry = audit.record(actor="auto-raise rule", action="a", target="b:1", reason="c", before=None, after=1)
    assert (entry.actor, entry.actor_name) == (None, "auto-raise rule")


@pytest.mark.parametrize("field", ["actor_name", "action", "target", "reason"])
def test_the_database_refuses_an_entry_without_a_name_or_reason(field):
    fields = {"actor_name": "x", "action": "x", "target": "x", "reason": "x"} | {field: "  "}
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEntry.objects.create(**fields)


def test_an_operational_event_has_a_known_severity():
    with pytest.raises(ValueError):
        operations.report("worker.lost", "dreadful", "worker:1", {})
    assert not OperationalEvent.objects.exists()
