"""`manage.py rollups --since 2026-11-20`: count what the overview shows anew, from the rows themselves."""

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.errors import ApiError
from billing import spans
from console.overview import rounds
from generation import dispatch


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            required=True,
            help="a date or a moment in ISO 8601, UTC; the whole day of it is counted",
        )

    def handle(self, *args, **options) -> None:
        now = dispatch.clock()
        try:
            since = spans.moment(options["since"], "since")
        except ApiError as error:
            raise CommandError(error.message) from error
        if not now - timedelta(days=4000) < since < now:
            raise CommandError("--since lies in the past, at most 4,000 days back.")
        counted = rounds.recompute(since, now, self.stdout.write)
        self.stdout.write(f"{counted:,} minutes counted from their rows.")
