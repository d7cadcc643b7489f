"""Look again at delivered clips of the last 24 hours, beside what the clip workers do by themselves."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from generation.afterwards import rescan


class Command(BaseCommand):
    help = "Re-scan clips of the sample (10 % of the last 24 hours) that nobody has looked at again yet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--most", type=int, default=1000, help="clips")
        parser.add_argument("--seconds", type=float, default=600.0, help="stop after so long")

    def handle(self, *, most: int, seconds: float, **_: object) -> None:
        done = rescan.run(most, seconds)
        self.stdout.write(f"{done} clip{'' if done == 1 else 's'} looked at again.")
        for day in rescan.figures(2):
            self.stdout.write(
                f"{day['day']}: {day['scanned']} scanned, {day['found']} found, {day['asked']} to people, "
                f"{day['unanswered']} without an answer."
            )
