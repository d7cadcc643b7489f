"""The audit log's seals: whatever is changed behind the triggers' backs is found, and the first row named."""

import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from accounts import audit, audit_chain
from accounts.models import AuditEntry, AuditSeal
from tests.committed import committed


@pytest.fixture
def real(django_db_setup, django_db_blocker):
    """Commits are real, since sealing takes locks and verifying a transaction of its own."""
    with committed(django_db_blocker):
        yield


def write(count, start=0):
    for number in range(start, start + count):
        audit.record(
            actor="test", action="thing.change", target=f"thing:{number}", reason="for this test",
            before={"n": number, "share": 0.1 + number}, after={"n": number + 1, "ü": [1.5, None]},
        )  # fmt: skip


def behind_the_triggers(sql, params=()):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, params)


def entry(target):
    return AuditEntry.objects.get(target=target).pk


def test_batches_are_sealed_in_a_chain_and_verified(real, monkeypatch):
    monkeypatch.setattr(audit_chain, "BATCH", 3)
    assert audit_chain.verify() == audit_chain.Report(0, 0, 0, audit_chain.GENESIS, 0)
    write(7)
    assert audit_chain.seal() == 7
    assert audit_chain.seal() == 0
    write(1, start=7)
    first, second, third = AuditSeal.objects.order_by("number")
    assert [len(seal.entry_ids) for seal in (first, second, third)] == [3, 3, 1]
    assert (second.previous_digest, third.previous_digest) == (first.digest, second.digest)
    assert second.first_id == first.last_id + 1
    report = audit_chain.verify()
    assert (report.seals, report.entries, report.unsealed, report.fault) == (3, 7, 1, None)
    assert report.head == third.digest
    assert report.sealed_up_to == entry("thing:6")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("reason", "a better story"),
        ("actor_name", "somebody else"),
        ("action", "thing.other"),
        ("at", "2020-01-01T00:00:00Z"),
        ("before", '{"n": 99}'),
        ("after", None),
        ("undo", '{"n": 0}'),
    ],
)
def test_any_altered_column_is_found_and_the_first_row_named(real, column, value):
    write(6)
    audit_chain.seal()
    for target in ("thing:4", "thing:2"):
        behind_the_triggers(
            f"UPDATE accounts_auditentry SET {column} = %s WHERE target = %s", [value, target]
        )
    fault = audit_chain.verify().fault
    assert fault.startswith(f"entry {entry('thing:2')} was altered after seal 1: ")
    with pytest.raises(CommandError, match=f"entry {entry('thing:2')} was altered"):
        call_command("verify_audit")


def test_a_removed_and_an_added_row_are_found(real):
    write(5)
    gone, forged = entry("thing:1"), entry("thing:3")
    audit_chain.seal()
    behind_the_triggers("DELETE FROM accounts_auditentry WHERE id = %s", [gone])
    assert audit_chain.verify().fault == f"entry {gone} was removed after seal 1"
    behind_the_triggers(
        "INSERT INTO accounts_auditentry (id, actor_name, action, target, reason)"
        " OVERRIDING SYSTEM VALUE VALUES (%s, 'x', 'x.y', 'x:1', 'x')",
        [gone],
    )
    assert audit_chain.verify().fault.startswith(f"entry {gone} was altered after seal 1: x.y of x:1 by x")
    behind_the_triggers("UPDATE accounts_auditseal SET entry_ids = array_remove(entry_ids, %s)", [forged])
    assert audit_chain.verify().fault == "seal 1 was altered"


def test_a_row_slipped_into_a_gap_is_found(real):
    write(2)
    with transaction.atomic():
        write(1, start=2)
        transaction.set_rollback(True)  # leaves a gap in the ids
    write(1, start=3)
    gap = entry("thing:3") - 1
    audit_chain.seal()
    assert audit_chain.verify().fault is None
    behind_the_triggers(
        "INSERT INTO accounts_auditentry (id, actor_name, action, target, reason)"
        " OVERRIDING SYSTEM VALUE VALUES (%s, 'x', 'x.y', 'x:1', 'x')",
        [gap],
    )
    assert audit_chain.verify().fault.startswith(f"entry {gap} was put in after seal 1")


def test_rewritten_and_removed_seals_are_found(real, monkeypatch):
    monkeypatch.setattr(audit_chain, "BATCH", 2)
    write(6)
    audit_chain.seal()
    head = audit_chain.verify().head
    behind_the_triggers("UPDATE accounts_auditseal SET digest = %s WHERE number = 2", ["f" * 64])
    assert audit_chain.verify().fault == "seal 2 was altered"
    behind_the_triggers("DELETE FROM accounts_auditseal WHERE number = 2")
    assert audit_chain.verify().fault == "seal 2 is missing"
    behind_the_triggers("DELETE FROM accounts_auditseal WHERE number > 1")
    assert audit_chain.verify().fault is None  # a shorter chain fits in itself
    assert "no seal carries the digest" in audit_chain.verify(expected_head=head).fault


def test_seals_are_append_only(real):
    write(1)
    audit_chain.seal()
    for act in [lambda: AuditSeal.objects.update(digest="x"), lambda: AuditSeal.objects.all().delete()]:
        with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
            act()


def test_a_row_that_is_still_being_written_is_never_behind_a_seal(real):
    """Its id was given before that of a row that has committed: the seal waits for it, or is put off."""
    written, may_commit = threading.Event(), threading.Event()

    def slowly():
        with transaction.atomic():
            write(1, start=100)
            written.set()
            may_commit.wait(10)
        connection.close()

    slow = threading.Thread(target=slowly)
    slow.start()
    written.wait(10)
    write(1, start=200)
    assert audit_chain.seal() == 0
    may_commit.set()
    slow.join()
    assert audit_chain.seal() == 2
    assert audit_chain.verify().fault is None


def test_the_command_says_how_far_it_is_sealed(real):
    write(2)
    out = StringIO()
    call_command("verify_audit", seal=True, stdout=out)
    assert (
        f"2 entries in 1 seals are as they were sealed, up to entry {entry('thing:1')}; 0 newer"
        in out.getvalue()
    )


@pytest.mark.django_db
def test_the_digest_of_a_row_is_that_of_its_values(owner):
    made = audit.record(
        actor=owner, action="a.b", target="c:1", reason="d", before=None, after={"b": 1, "a": [2]}
    )
    read = AuditEntry.objects.get(pk=made.pk)
    made.refresh_from_db()
    assert audit_chain.digest_of(read) == audit_chain.digest_of(made)
    read.after = {"a": [2], "b": 1}
    assert audit_chain.digest_of(read) == audit_chain.digest_of(made)
