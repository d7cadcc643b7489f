"""Putting a file of hashes on the list: what is new is added, what is there stays, and the whole is audited."""

from dataclasses import dataclass

from django.db import transaction

from accounts import audit
from safety.models import HashEntry
from safety.postfilter.hash_exchange import HashFile

ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Imported:
    """How many hashes of a file are new to the list, and how many were on it already, from the same source."""

    added: int
    known: int


@transaction.atomic
def put(
    file: HashFile,
    *,
    source: str,
    frame_class: str,
    radius: int,
    author: str,
    reason: str,
    dry_run: bool = False,
) -> Imported:
    """Add the hashes of a file, all in one transaction; with `dry_run` only say what would be."""
    before = HashEntry.objects.filter(source=source, frame_class=frame_class)
    known = 0
    for start in range(0, len(file.hashes), ROWS_AT_ONCE):
        part = file.hashes[start : start + ROWS_AT_ONCE]
        there = set(before.filter(pdq__in=part).values_list("pdq", flat=True))
        known += len(there)
        if not dry_run:
            HashEntry.objects.bulk_create(
                HashEntry(
                    pdq=pdq, frame_class=frame_class, source=source, radius=radius, author=author, note=reason
                )
                for pdq in part
                if pdq not in there
            )
    result = Imported(len(file.hashes) - known, known)
    if not dry_run and result.added:
        audit.record(
            actor=author,
            action="safety.hash_import",
            target=f"hash-list:{source}"[:200],
            reason=reason,
            before=None,
            after={
                "class": frame_class,
                "added": result.added,
                "known": result.known,
                "rejected": len(file.rejected),
                "radius": radius,
            },
        )
    return result
