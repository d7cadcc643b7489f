"""Recompute the audit log's hash chain; the exit status is 1 where something is not as it was sealed."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import audit_chain


class Command(BaseCommand):
    help = "Verify the audit log against its seals, and name the first row that was altered."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--expect", help="a digest of an earlier run that you kept elsewhere")
        parser.add_argument("--seal", action="store_true", help="seal what was written so far first")

    def handle(self, *args: object, **options: object) -> None:
        if options["seal"]:
            audit_chain.seal()
        report = audit_chain.verify(options["expect"])
        if report.fault:
            raise CommandError(f"The audit log is not as it was sealed: {report.fault}.")
        self.stdout.write(
            f"{report.entries} entries in {report.seals} seals are as they were sealed, up to entry "
            f"{report.sealed_up_to}; {report.unsealed} newer ones wait for the next seal."
        )
        self.stdout.write(f"Newest digest, to keep elsewhere: {report.head}")
