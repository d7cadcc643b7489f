"""Recompute all money from its records; exit 1 if anything stored is not what they say."""

import json
import sys
from dataclasses import asdict

from django.core.management.base import BaseCommand, CommandParser

from billing.reconciliation import Report, reconcile


class Command(BaseCommand):
    help = (
        "Recompute charges from usage and balances from entries; print drift per organization; exit 1 on any."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of text")

    def handle(self, *args: object, **options: object) -> None:
        report = reconcile()
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(report), "at": report.at.isoformat()}))
        else:
            self._print(report)
        if report.drift:
            sys.exit(1)

    def _print(self, report: Report) -> None:
        for organization, drifts in report.by_organization().items():
            self.stdout.write(f"{organization}: {len(drifts)} drifted")
            for drift in drifts:
                self.stdout.write(
                    f"  {drift.check}: {drift.subject} should be {drift.expected} and is {drift.found}"
                )
        counted = (
            (report.organizations, "organization"),
            (report.transactions, "transaction"),
            (report.charges, "charge"),
        )
        words = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for number, name in counted)
        self.stdout.write(f"{'Drift found' if report.drift else 'No drift'}: {words}.")
