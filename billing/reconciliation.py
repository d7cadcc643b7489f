"""Recompute all money from its records and compare: usage → charges → entries → balances, and holds with what is held.
Payments, refunds, disputes, overage and given credits are checked against their own rows.

The stored figures are maintained by the ledger and guarded by the database; here nothing of that is trusted. Everything
is read in one snapshot, so that a busy system shows no false drift. Any drift is an alarm.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from accounts import operations
from accounts.models import Organization
from billing import pricing, reconciliation_credits, reconciliation_queries, settlement
from billing.models import Charge, Transaction

CHECKS = reconciliation_queries.CHECKS | reconciliation_credits.CHECKS
NAMED_AT_MOST = 20  # drifts in one alarm


@dataclass(frozen=True)
class Drift:
    """One figure that is not what the records say. `expected` is recomputed, `found` is what is stored."""

    organization: str  # its slug
    check: str
    subject: str
    expected: str
    found: str


@dataclass(frozen=True)
class Report:
    at: datetime
    organizations: int
    transactions: int
    charges: int
    drift: tuple[Drift, ...]

    def by_organization(self) -> dict[str, list[Drift]]:
        grouped: dict[str, list[Drift]] = {}
        for drift in self.drift:
            grouped.setdefault(drift.organization, []).append(drift)
        return grouped


def reconcile() -> Report:
    """Every check over every organization, in one snapshot of the database."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:  # inside a caller's transaction it has begun already, and the caller answers for it
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        slugs = dict(Organization.objects.values_list("pk", "slug"))
        found = [*_stored_figures(slugs), *_charges(slugs)]
        return Report(
            at=timezone.now(),
            organizations=len(slugs),
            transactions=Transaction.objects.count(),
            charges=Charge.objects.count(),
            drift=tuple(sorted(found, key=lambda drift: (drift.organization, drift.check, drift.subject))),
        )


def watch() -> Report:
    """Reconcile, and raise an alarm for each organization with drift: what the nightly run does."""
    report = reconcile()
    for organization, drifts in report.by_organization().items():
        named = [asdict(drift) for drift in drifts[:NAMED_AT_MOST]]
        detail = {"drifted": len(drifts), "drift": named}
        operations.report("billing.drift", "critical", f"organization:{organization}", detail)
    counted = {"organizations": report.organizations, "transactions": report.transactions}
    counted |= {"charges": report.charges, "drifted": len(report.drift)}
    operations.report("billing.reconciled", "info", "billing:ledger", counted)
    return report


def _stored_figures(slugs: dict[int, str]) -> Iterator[Drift]:
    with connection.cursor() as cursor:
        for check, sql in CHECKS.items():
            cursor.execute(sql)
            for organization_id, subject, expected, found in cursor.fetchall():
                yield Drift(slugs.get(organization_id, "?"), check, subject, str(expected), str(found))


def _charges(slugs: dict[int, str]) -> Iterator[Drift]:
    """Every quote again from its units and price, and every charge again from its usage, that price and the hold."""
    charges = Charge.objects.select_related("usage_event__hold__decision__price_version").order_by("pk")
    for charge in charges.iterator(chunk_size=2000):
        usage = charge.usage_event
        decision = usage.hold.decision
        quote = pricing.amount_micro(decision.units_micro, decision.price_version.micro_per_unit)
        due = settlement.amount_due(usage.hold, usage.outcome, usage.units_micro)
        for check, expected, found in (
            ("quote follows from units", quote, usage.hold.amount),
            ("charge follows from usage", due, charge.amount),
        ):
            if expected != found:
                slug = slugs.get(charge.organization_id, "?")
                yield Drift(slug, check, usage.subject, str(expected), str(found))
