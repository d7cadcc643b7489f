"""Measuring what changes moved: a round looks at those made some minutes ago, once each, and keeps what it saw."""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import AuditEntry
from console.changes import kinds
from console.models import MeasuredEffect
from generation.rounds import is_mine

WINDOW = timedelta(minutes=5)
LATEST = timedelta(hours=6)  # what nobody measured by then is not measured any more
MOST_AT_ONCE = 50


def run(now: datetime) -> int:
    """Measure what is due: its figure over the minutes before the change and over those after; how many."""
    with transaction.atomic():
        if not is_mine("changes.effects"):
            return 0
        due = list(_due(now))
        measured = [one for one in (_measured(entry, now) for entry in due) if one is not None]
        MeasuredEffect.objects.bulk_create(measured, ignore_conflicts=True)
    return len(measured)


def _due(now: datetime):
    names = [kind.name for kind in kinds.KINDS if kind.moves is not kinds.nothing]
    names += [f"{name}{kinds.UNDO}" for name in names]
    found = AuditEntry.objects.filter(
        at__gt=now - LATEST, at__lte=now - WINDOW, action__in=names, effects=None
    )
    return found.order_by("at", "pk")[:MOST_AT_ONCE]


def _measured(entry: AuditEntry, now: datetime) -> MeasuredEffect | None:
    figure = kinds.of(entry).moves(entry)
    if figure is None:
        return None
    return MeasuredEffect(
        entry=entry,
        figure=figure.name,
        scope=figure.scope,
        window_s=int(WINDOW.total_seconds()),
        before=figure.measure(entry.at - WINDOW, entry.at),
        after=figure.measure(entry.at, entry.at + WINDOW),
        at=now,
    )
