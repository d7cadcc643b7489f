"""For a person who lost their second factor: remove it, with a reason, so that they enrol anew."""

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import audit, second_factor
from accounts.models import User


class Command(BaseCommand):
    help = "Remove the second factors and recovery codes of a person; they enrol anew at their next visit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--reason", required=True, help="kept in the audit log; say how you knew them")

    def handle(self, *args: object, **options: object) -> None:
        user = User.objects.filter(email=User.objects.normalize_email(options["email"])).first()
        if user is None:
            raise CommandError(f"Nobody has signed up as {options['email']}.")
        if not options["reason"].strip():
            raise CommandError("Say why: the reason is kept in the audit log.")
        with transaction.atomic():
            removed = second_factor.reset(user)
            audit.record(
                actor="reset_second_factor command",
                action="second_factor.reset",
                target=f"user:{user.email}",
                reason=options["reason"],
                before={"rows": removed},
                after={"rows": 0},
            )
        self.stdout.write(f"{user.email}: {removed} removed")
