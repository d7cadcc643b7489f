"""`manage.py import_hashes FILE`: put an exchanged list of PDQ hashes on the hash list."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from safety.models import FrameClass
from safety.postfilter import hash_exchange, hash_import

MOST_SHOWN = 50


class Command(BaseCommand):
    help = "Import PDQ hashes from ThreatExchange-style JSON, CSV (“PDQ,hash”) or text. Exits 1 if lines were rejected."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", required=True, help="the list it comes from, such as ncmec-2026-11")
        parser.add_argument("--author", required=True, help="who imports it")
        parser.add_argument("--reason", required=True, help="why, for the audit log")
        parser.add_argument(
            "--class", dest="frame_class", choices=FrameClass.values, default=FrameClass.CHILD_SAFETY
        )
        parser.add_argument(
            "--radius", type=int, default=31, help="bits that may differ, inclusive (0 to 64)"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be imported")

    def handle(self, *args: object, **options: object) -> None:
        if not 0 <= options["radius"] <= 64:
            raise CommandError("The radius is from 0 to 64 bits.")
        try:
            with options["file"].open(encoding="utf-8", errors="replace", newline="") as lines:
                found = hash_exchange.read(lines)
        except OSError as error:
            raise CommandError(f"{options['file']} can't be read: {error.strerror}") from error
        names = ("source", "author", "reason", "frame_class", "radius", "dry_run")
        result = hash_import.put(found, **{name: options[name] for name in names})
        self._tell(found, result, dry_run=options["dry_run"])
        if found.rejected:
            raise CommandError(f"{len(found.rejected):,} lines were rejected; all others were taken.")

    def _tell(self, found: hash_exchange.HashFile, result: hash_import.Imported, *, dry_run: bool) -> None:
        for rejected in found.rejected[:MOST_SHOWN]:
            self.stderr.write(f"line {rejected.line:,}: {rejected.why}")
        if len(found.rejected) > MOST_SHOWN:
            self.stderr.write(f"and {len(found.rejected) - MOST_SHOWN:,} more")
        verb = "would be added" if dry_run else "added"
        self.stdout.write(
            f"{result.added:,} {verb}, {result.known:,} already on the list, {found.repeated:,} repeated in the file, "
            f"{found.other_types:,} of other types, {len(found.rejected):,} rejected"
        )
