"""Build the balances again in a scratch schema from the raw records, compare, name each difference; exit 1 on any."""

import json
import sys
from argparse import ArgumentTypeError
from dataclasses import asdict
from datetime import UTC, datetime

from django.core.management.base import BaseCommand, CommandParser

from billing.replay import EVER, replay


def moment(text: str) -> datetime:
    """An ISO date or time; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ArgumentTypeError(
            f"{text} is no date or time such as 2026-11-01 or 2026-11-01T12:00"
        ) from problem
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Replay transactions from the records behind them into a scratch schema, compare; exit 1 on any difference."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", type=moment, default=EVER, help="replay from here (default: everything)"
        )
        parser.add_argument("--schema", default="replay", help="name of the scratch schema")
        parser.add_argument("--keep", action="store_true", help="leave the scratch schema for a look")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of text")

    def handle(self, *args: object, **options: object) -> None:
        count, found = replay(options["since"], schema=options["schema"], keep=options["keep"])
        if options["json"]:
            self.stdout.write(
                json.dumps({"transactions": count, "drift": [asdict(drift) for drift in found]})
            )
        else:
            for drift in found:
                where = f"{drift.organization}: {drift.check}: {drift.subject}"
                self.stdout.write(f"{where} should be {drift.expected} and is {drift.found}")
            word = f"{len(found)} differ" if found else "No difference"
            self.stdout.write(f"{word}: {count} transaction{'' if count == 1 else 's'} replayed.")
        if found:
            sys.exit(1)
