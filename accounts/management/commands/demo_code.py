"""The authenticator app of the demo staff: the code that the second step of their sign-in asks for."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import demo, second_factor


class Command(BaseCommand):
    help = "Show the current second-step codes of the demo staff of this installation."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", nargs="?", help="one person's code alone on stdout; without, a table")
        parser.add_argument(
            "--secret", action="store_true", help="the secret, to put into an app of your own"
        )

    def handle(self, *args: object, **options: object) -> None:
        staff = {row.email: row for row in demo.sign_ins(settings.HOME) if row.totp_secret}
        if options["email"]:
            if options["email"] not in staff:
                raise CommandError(f"{options['email']} is none of the demo staff of this installation.")
            self.stdout.write(self._shown(staff[options["email"]], options["secret"]))
            return
        if not staff:
            raise CommandError("This installation has no demo staff: manage.py seed_demo makes them.")
        for row in staff.values():
            self.stdout.write(f"{row.email:<36}  {self._shown(row, options['secret'])}")
        left = second_factor.current_code(next(iter(staff.values())).totp_secret)[1]
        self.stderr.write(f"Good for {left} s, and each only once.")

    @staticmethod
    def _shown(row: demo.SignIn, secret: bool) -> str:
        return row.totp_secret if secret else second_factor.current_code(row.totp_secret)[0]
