"""What the text filter does on its labelled sets: `manage.py measure_text_filter [--split frozen] [--disguised]`."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from safety.training.text_set import FILES, expand


class Command(BaseCommand):
    help = "Recall and false positives per category of the shipped text filter, or recall per disguise."
    requires_system_checks = ()

    def add_arguments(self, parser) -> None:
        parser.add_argument("--split", choices=FILES, default="frozen")
        parser.add_argument(
            "--harmless", type=Path, help="measure harmless clip prompts of this file instead, one a line"
        )
        parser.add_argument("--per-template", type=int, default=40, help="texts of each template, at most")
        parser.add_argument(
            "--without-names", action="store_true", help="without the list of people known worldwide"
        )
        parser.add_argument("--disguised", action="store_true", help="hide the texts in every known way")
        parser.add_argument(
            "--misses", action="store_true", help="print what was judged wrongly (not for frozen)"
        )

    def handle(
        self,
        *args,
        split: str,
        harmless: Path | None,
        per_template: int,
        without_names: bool,
        disguised: bool,
        misses: bool,
        **options,
    ) -> None:
        if harmless and disguised:
            raise CommandError("--disguised hides texts that are to be refused: leave out --harmless")
        if harmless and not harmless.is_file():
            raise CommandError(f"there is no file {harmless}: name one with a prompt on each line")
        from django.conf import settings

        from safety.scorer.engine import Engine
        from safety.training import measure
        from safety.training.disguises import DISGUISES

        under = measure.Filter(Engine(settings.SCORER_MODEL), listed=not without_names)
        texts = measure.harmless(harmless) if harmless else expand(split, per_template=per_template)
        if disguised:
            meant = [one for one in texts if one.category]
            total = hidden = 0
            for name, disguise in DISGUISES.items():
                caught = sum(under.verdict(disguise(one.text), one.kind) is not None for one in meant)
                total, hidden = total + len(meant), hidden + caught
                self.stdout.write(f"{name}: refused {caught} of {len(meant)} ({caught / len(meant):.4f})")
            self.stdout.write(f"all disguises: refused {hidden} of {total} ({hidden / total:.4f})")
            return
        for line in measure.lines(measure.tallies(under, texts)):
            self.stdout.write(line)
        if misses and (harmless or split != "frozen"):
            for one in texts:
                verdict = under.verdict(one.text, one.kind)
                if (verdict is None) != (one.category is None):
                    self.stdout.write(f"{one.kind} {one.category or 'benign'} → {verdict}: {one.text!r}")
