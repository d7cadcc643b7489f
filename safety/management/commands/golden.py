"""`manage.py golden`: the golden sets, how many there are, and what today's gates say of their pictures."""

from django.core.management.base import BaseCommand, CommandParser

from safety import golden, golden_frames, golden_pictures


class Command(BaseCommand):
    help = "Counts the golden sets; look: show the pictures to the gates; register: list those that are to be listed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=["counts", "look", "register"], default="counts")

    def handle(self, *args: object, verb: str, **options: object) -> None:
        if verb == "look":
            looked = golden_frames.look()
            self.stdout.write(f"{looked.pictures} pictures shown, {looked.findings} findings kept")
        elif verb == "register":
            self.stdout.write(f"{golden_pictures.register('manage.py golden')} pictures put on the hash list")
        else:
            for suite, number in golden.counts().items():
                self.stdout.write(f"{suite}: {number}")
