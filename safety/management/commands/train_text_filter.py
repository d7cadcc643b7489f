"""Train the text filter that ships, anew: `manage.py train_text_filter`."""

from pathlib import Path

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Train the text filter on safety/text_sets and write its weights with their manifest."
    requires_system_checks = ()

    def add_arguments(self, parser) -> None:
        parser.add_argument("--to", type=Path, help="the folder for the weights; by default where they ship")
        parser.add_argument("--vectors", type=Path, help="a file that keeps vectors between runs (.npz)")

    def handle(self, *args, to: Path | None, vectors: Path | None, **options) -> None:
        # Imported here: the model's libraries belong into this process alone.
        from django.conf import settings

        from safety.scorer import embedding
        from safety.scorer.classifier import FOLDER
        from safety.training import recipe
        from safety.training.vectors import Kept

        folder = embedding.model_folder(settings.SCORER_MODEL)
        kept = Kept(embedding.encoder_of(folder), vectors)
        made = recipe.train(folder, kept.encode, to or FOLDER, self.stdout.write)
        self.stdout.write(f"{made['version']}: trained on {made['trained_on']} texts")
