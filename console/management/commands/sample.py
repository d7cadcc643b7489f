"""Make one clip and one completion through the public API of the Backlot that runs, and show what came of it."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console import sample


class Command(BaseCommand):
    help = "Make the sample clip and completion; exits 0 only if all is as promised."

    def handle(self, *args: object, **options: object) -> None:
        folder = settings.HOME / "run"
        url = f"http://127.0.0.1:{settings.PORT}"
        try:
            summary = sample.run(url, folder, lambda line: self.stdout.write(line))
        except sample.SampleFailed as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(f"\n{sample.table(summary)}\n  Summary      {folder / 'summary.json'}\n")
        if found := sample.problems(summary):
            raise CommandError("; ".join(found))
