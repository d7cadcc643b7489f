"""Register a model of one's own as a candidate, from a preset."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.errors import ApiError
from generation.revisions import registering
from generation.revisions.presets import PRESETS


class Command(BaseCommand):
    help = "Register a downloaded model, or one on a vLLM server, as a candidate. See docs/models.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--list", action="store_true", help="the presets there are")
        parser.add_argument("--preset", choices=sorted(PRESETS))
        parser.add_argument(
            "--folder", type=Path, help="its files; for a vLLM server tokenizer and configuration"
        )
        parser.add_argument("--revision", default="", help="the commit that was downloaded")
        parser.add_argument("--url", default="", help="of the vLLM server: http://host:port")
        parser.add_argument("--served-as", default="", help="the name it is served under there")
        parser.add_argument(
            "--pool", default="", help="a pool that is new gets the lanes of its kind's first one"
        )
        parser.add_argument("--name", default="", help="its name here, where it is not the preset's")
        parser.add_argument("--reason", default="registered from the command line")

    def handle(self, *args: object, **options) -> None:
        if options["list"] or not options["preset"]:
            for preset in PRESETS.values():
                self.stdout.write(
                    f"{preset.name:22} {preset.kind:5} {preset.hub or 'ships':38} {preset.description}"
                )
            return
        if options["folder"] is None:
            raise CommandError("Say where its files lie: --folder.")
        names = ("folder", "revision", "pool", "url", "served_as", "name")
        place = registering.Place(**{name: options[name] for name in names})
        try:
            row = registering.register(
                PRESETS[options["preset"]], place, "manage.py register_model", options["reason"]
            )
        except ApiError as refused:
            raise CommandError(refused.message) from refused
        self.stdout.write(
            f"{row} is a candidate in the pool {row.pool_id}. A worker of that pool loads it for the gate:"
        )
        self.stdout.write(f"    manage.py evals deploy --model {row.name} --revision {row.revision}")
        self.stdout.write("and an operator promotes it on the page Models.")
