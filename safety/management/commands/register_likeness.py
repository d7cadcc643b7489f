"""`manage.py register_likeness PICTURE`: a face that must not be imitated goes on the index of likenesses."""

import io
from pathlib import Path

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from PIL import Image

from accounts.errors import ApiError
from safety import input_images
from safety.policy.records import LikenessKind
from safety.postfilter import configured, likeness
from safety.postfilter.models import ModelUnusable


class Command(BaseCommand):
    help = "Register the likeness in a picture of somebody's face; its embedding is kept, the picture isn't."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("picture", type=Path)
        parser.add_argument(
            "--embedder", required=True, help="the id of a likeness gate in SAFETY_GATES_FILE"
        )
        parser.add_argument("--name", required=True, help="whose face it is")
        parser.add_argument("--kind", required=True, choices=LikenessKind.values)
        parser.add_argument("--source", required=True, help="where the picture comes from")
        parser.add_argument("--author", required=True, help="who registers it")

    def handle(self, *args: object, **options: object) -> None:
        file = settings.SAFETY_GATES_FILE
        embedders = configured.embedders_of(file) if file else {}
        if options["embedder"] not in embedders:
            raise CommandError(f"SAFETY_GATES_FILE names no embedder {options['embedder']!r}.")
        try:
            picture = input_images.plain(options["picture"].read_bytes(), "picture")
            names = ("name", "kind", "source", "author")
            entry = likeness.register(
                embedders[options["embedder"]],
                _pixels(picture.content),
                **{name: options[name] for name in names},
            )
        except (OSError, ModelUnusable) as error:
            raise CommandError(str(error)) from error
        except ApiError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Likeness {entry.pk} of {entry.name} ({entry.kind}) is registered.")


def _pixels(png: bytes) -> np.ndarray:

    return np.asarray(Image.open(io.BytesIO(png), formats=("PNG",)))
