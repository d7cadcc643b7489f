"""`manage.py golden`: the golden sets, how many there are, and what today's gates say of their pictures."""

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from safety.golden import cases as golden
from safety.golden import frames as golden_frames
from safety.golden import pictures as golden_pictures
from safety.golden import texts as golden_texts


class Command(BaseCommand):
    help = (
        "Counts the golden sets. look: pictures to the gates, prompts to the text filter; register: list what is to be "
        "listed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=["counts", "look", "register"], default="counts")

    def handle(self, *args: object, verb: str, **options: object) -> None:
        if verb == "look":
            looked = golden_frames.look()
            self.stdout.write(f"{looked.pictures} pictures shown, {looked.findings} findings kept")
            read = golden_texts.read(timezone.now(), limit=10_000)
            self.stdout.write(f"{read} prompts read by the text filter")
        elif verb == "register":
            self.stdout.write(f"{golden_pictures.register('manage.py golden')} pictures put on the hash list")
        else:
            for suite, number in golden.counts().items():
                self.stdout.write(f"{suite}: {number}")
