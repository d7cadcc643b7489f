"""Fit accelerator seconds per compute unit from finished jobs, per model, and say how far the quotes were off."""

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import actions
from accounts.models import User
from generation.scheduling import calibration


class Command(BaseCommand):
    help = "Report GPU-seconds per unit and the error of the quotes, per model; with --write keep the fit as a row."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=float, default=30, help="finished within so many days (30)")
        parser.add_argument("--model", help="this model alone, as name@revision")
        parser.add_argument(
            "--write", action="store_true", help="keep each fit as the calibration from now on"
        )
        parser.add_argument("--by", help="with --write: the operator's e-mail address")
        parser.add_argument("--reason", default="", help="with --write: why")

    def handle(self, *args: object, **options: object) -> None:
        found = calibration.fits(timezone.now() - timedelta(days=options["days"]))
        if options["model"]:
            found = {name: fit for name, fit in found.items() if name == options["model"]}
        if not found:
            self.stdout.write("No finished jobs to learn from.")
        for model, (units, estimates) in found.items():
            self._report(model, units, estimates)
            if options["write"] and units is not None:
                entry = actions.perform(
                    calibration.Calibrate(model, units), self._operator(options["by"]), options["reason"]
                )
                self.stdout.write(f"  kept (audit entry {entry.pk})")

    def _report(self, model: str, units, estimates) -> None:
        if units is None:
            self.stdout.write(f"{model}: too few finished jobs")
            return
        self.stdout.write(
            f"{model}: {units.gpu_ms_per_unit / 1000:.4g} GPU-seconds per unit from {units.attempts} jobs; "
            f"error of the quoted units: median {units.error_median:.1%}, p90 {units.error_p90:.1%}"
        )
        if estimates is not None:
            self.stdout.write(
                f"  error of the schedule's estimates: median {estimates.error_median:.1%}, "
                f"p90 {estimates.error_p90:.1%}"
            )

    def _operator(self, email: str | None) -> User:
        person = User.objects.filter(email=(email or "").lower()).first()
        if person is None:
            raise CommandError("--write needs --by with the e-mail address of an operator.")
        return person
