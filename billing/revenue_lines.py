"""The lines behind a figure of the revenue page, newest first, with what each counts there."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from accounts.organizations import OWN
from billing import revenue_queries as queries
from billing.models import Account, Entry, Transaction
from billing.revenue import Span

_REVENUE = Q(account__organization__isnull=True, account__kind=Account.Kind.REVENUE)


@dataclass(frozen=True)
class Filter:
    """Which lines: of a kind, of a model's work, of an organization (slug), of charges that a bucket paid."""

    kind: str = ""
    model: str = ""
    organization: str = ""
    bucket: str = ""


@dataclass(frozen=True)
class Counted:
    """A line, and the micro-credits that it counts: revenue, or with a bucket what that paid of it."""

    line: Transaction
    micro: int


@dataclass(frozen=True)
class Found:
    """A page of lines, and how many there are in all and what they come to."""

    counted: list[Counted]
    lines: int
    micro: int
    older: int | None


def find(span: Span, only: Filter, before: int | None, limit: int) -> Found:
    """A page of lines, those before the line `before`; four queries at most."""
    return _paid_by(span, only, before, limit) if only.bucket else _revenue(span, only, before, limit)


def _revenue(span: Span, only: Filter, before: int | None, limit: int) -> Found:
    wanted = _lines(span, only)
    entries = Entry.objects.filter(_REVENUE, transaction__in=wanted.values("pk"))
    total = entries.aggregate(micro=Sum("amount", default=0))["micro"]
    page = wanted.filter(pk__lt=before) if before else wanted
    of_line = Sum("entries__amount", filter=_prefixed(_REVENUE), default=0)
    page = page.select_related("organization", "hold__decision").annotate(counted=of_line)
    lines = list(page.order_by("-pk")[: limit + 1])
    counted = [Counted(line, int(line.counted)) for line in lines[:limit]]
    return Found(counted, wanted.count(), int(total), lines[limit - 1].pk if len(lines) > limit else None)


def _paid_by(span: Span, only: Filter, before: int | None, limit: int) -> Found:
    """Charges that a bucket paid, in part or whole, with what it paid. Other filters don't apply to these."""
    with connection.cursor() as cursor:
        asked = {"start": span.start, "end": span.end, "bucket": only.bucket}
        cursor.execute(queries.LINES_OF_SOURCE, asked)
        rows = cursor.fetchall()
    if not rows:
        return Found([], 0, 0, None)
    page = [row for row in rows if before is None or row[0] < before][: limit + 1]
    found = Transaction.objects.filter(pk__in=[row[0] for row in page[:limit]])
    by_number = {line.pk: line for line in found.select_related("organization", "hold__decision")}
    counted = [Counted(by_number[number], int(micro)) for number, micro, _, _ in page[:limit]]
    return Found(counted, rows[0][2], int(rows[0][3]), page[limit - 1][0] if len(page) > limit else None)


def _lines(span: Span, only: Filter) -> QuerySet[Transaction]:
    lines = Transaction.objects.filter(at__gte=span.start, at__lt=span.end)
    if only.organization != OWN:
        lines = lines.exclude(organization__slug=OWN)
    if only.kind:
        lines = lines.filter(kind=only.kind)
    if only.model:
        lines = lines.filter(charge__usage_event__model=only.model)
    if only.organization:
        lines = lines.filter(organization__slug=only.organization)
    return lines


def _prefixed(condition: Q) -> Q:
    """A condition on an entry as one on a line's entries."""
    return Q(*((f"entries__{name}", value) for name, value in condition.children))
