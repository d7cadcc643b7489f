"""The audit log's hash chain: sealed in batches by upkeep, so that no audited change waits for another one's.

A seal holds the digest of each row of its batch and a digest over all of it and the seal before. `verify` recomputes
everything and names the first thing that is not as it was sealed. Somebody who can rewrite rows *and* all seals after
them leaves a chain that fits: against that, keep the newest digest elsewhere (it is logged at every seal) and hand it
to `verify`.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import UTC

from django.db import OperationalError, connection, transaction

from accounts.models import AuditEntry, AuditSeal

logger = logging.getLogger(__name__)

BATCH = 1000
GENESIS = "0" * 64
DIGEST = hashlib.sha256().digest_size
# Writers queue behind a waiting lock, so it gives up quickly and the next beat tries again.
LOCK_WAIT = "300ms"


@dataclass(frozen=True)
class Report:
    """What a verification found. `fault` names the first altered row or seal in words, None where all is as sealed."""

    seals: int
    entries: int
    sealed_up_to: int  # the id of the last sealed entry, 0 before the first seal
    head: str  # the digest of the last seal
    unsealed: int
    fault: str | None = None


def digest_of(entry: AuditEntry) -> bytes:
    """sha256 over the canonical form of a row: every column, as JSON with sorted keys, times in UTC."""
    row = {
        "id": entry.pk,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor_id,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "target": entry.target,
        "organization": entry.organization_id,
        "reason": entry.reason,
        "before": entry.before,
        "after": entry.after,
        "undo": entry.undo,
    }
    told = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(told.encode()).digest()


def seal() -> int:
    """Seal everything that was written so far; the number of entries sealed, 0 too where a writer is in the way."""
    try:
        settled = _settled_id()
    except OperationalError as busy:  # the lock timed out
        logger.info("audit log not sealed now: %s", busy)
        return 0
    sealed = 0
    while (count := _seal_batch(settled)) > 0:
        sealed += count
    return sealed


def last_seal() -> AuditSeal | None:
    """The newest seal, for pages: what lies up to its `last_id` is sealed. Without its digests, which are large."""
    return AuditSeal.objects.defer("entry_ids", "entry_digests").order_by("-number").first()


def verify(expected_head: str | None = None) -> Report:
    """Recompute the chain from the first seal on, and stop at the first thing that is not as it was sealed.

    With `expected_head`, a digest kept elsewhere, some seal must carry it.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:  # one picture of both tables, however long it takes
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return _verify(expected_head)


def _verify(expected_head: str | None) -> Report:
    seals, entries, last_id, head = 0, 0, 0, GENESIS
    met = expected_head is None
    fault = None
    for one in AuditSeal.objects.order_by("number").iterator(chunk_size=20):
        fault = _fault_of_seal(one, seals + 1, last_id, head) or _fault_of_entries(one)
        if fault:
            break
        seals, entries, last_id, head = one.number, entries + len(one.entry_ids), one.last_id, one.digest
        met = met or head == expected_head
    if not fault and not met:
        fault = "no seal carries the digest that was expected: seals were rewritten or removed at the end"
    unsealed = AuditEntry.objects.filter(pk__gt=last_id).count() if not fault else 0
    return Report(seals, entries, last_id, head, unsealed, fault)


def _settled_id() -> int:
    """The highest id below which nothing is still being written.

    Ids are given before their rows commit, so a row could appear behind a seal. The lock waits out those who write,
    and is let go at once.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        cursor.execute("LOCK TABLE accounts_auditentry IN SHARE MODE")
        cursor.execute("SELECT coalesce(max(id), 0) FROM accounts_auditentry")
        return cursor.fetchone()[0]


def _seal_batch(settled: int) -> int:
    with transaction.atomic():
        with connection.cursor() as cursor:  # one sealer at a time; readers don't mind
            cursor.execute("LOCK TABLE accounts_auditseal IN SHARE ROW EXCLUSIVE MODE")
        before = last_seal()
        number, first, previous = (
            (before.number + 1, before.last_id + 1, before.digest) if before else (1, 1, GENESIS)
        )
        rows = list(AuditEntry.objects.filter(pk__gte=first, pk__lte=settled).order_by("pk")[:BATCH])
        if not rows:
            return 0
        ids, digests = [row.pk for row in rows], b"".join(map(digest_of, rows))
        digest = _digest_of_seal(number, first, ids, digests, previous)
        AuditSeal.objects.create(
            number=number,
            first_id=first,
            last_id=ids[-1],
            entry_ids=ids,
            entry_digests=digests,
            previous_digest=previous,
            digest=digest,
        )
    logger.info("audit log sealed up to %d, seal %d, digest %s", ids[-1], number, digest)
    return len(rows)


def _digest_of_seal(number: int, first: int, ids: list[int], digests: bytes, previous: str) -> str:
    told = json.dumps([number, first, ids, digests.hex(), previous], separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def _fault_of_seal(one: AuditSeal, number: int, last_id: int, head: str) -> str | None:
    """What is wrong with the seal itself, or with its place in the chain."""
    if one.number != number:
        return f"seal {number} is missing"
    if one.previous_digest != head or one.first_id != last_id + 1:
        return f"seal {number} does not follow the one before it"
    digests = bytes(one.entry_digests)
    if one.digest != _digest_of_seal(number, one.first_id, one.entry_ids, digests, one.previous_digest):
        return f"seal {number} was altered"
    if len(digests) != DIGEST * len(one.entry_ids) or one.last_id != one.entry_ids[-1]:
        return f"seal {number} was altered"
    return None


def _fault_of_entries(one: AuditSeal) -> str | None:
    """The first entry of the seal's range that was altered, removed or put in afterwards."""
    digests = bytes(one.entry_digests)
    sealed = {pk: digests[n * DIGEST : (n + 1) * DIGEST] for n, pk in enumerate(one.entry_ids)}
    found = {row.pk: row for row in AuditEntry.objects.filter(pk__gte=one.first_id, pk__lte=one.last_id)}
    for pk in sorted(sealed.keys() | found.keys()):
        if pk not in found:
            return f"entry {pk} was removed after seal {one.number}"
        if pk not in sealed:
            return f"entry {pk} was put in after seal {one.number}: {_described(found[pk])}"
        if digest_of(found[pk]) != sealed[pk]:
            return f"entry {pk} was altered after seal {one.number}: {_described(found[pk])}"
    return None


def _described(entry: AuditEntry) -> str:
    return f"{entry.action} of {entry.target} by {entry.actor_name} at {entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
