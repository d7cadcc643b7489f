"""Give a person a staff role, or take it away: how an installation gets its first staff."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import staff
from accounts.models import StaffRole, User


class Command(BaseCommand):
    help = "Grant a staff role to a signed-up person, or withdraw it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--role", required=True, choices=StaffRole.Role.values)
        parser.add_argument("--reason", required=True, help="kept in the audit log")
        parser.add_argument("--withdraw", action="store_true", help="take the role away instead")

    def handle(self, *args: object, **options: object) -> None:
        email = User.objects.normalize_email(options["email"])
        user = User.objects.filter(email=email).first()
        if user is None:
            raise CommandError(f"Nobody has signed up as {email}.")
        if not options["reason"].strip():
            raise CommandError("Say why: the reason is kept in the audit log.")
        change = staff.withdraw if options["withdraw"] else staff.grant
        changed = change(user, options["role"], by="grant_staff_role command", reason=options["reason"])
        if options["withdraw"]:
            outcome = "withdrawn" if changed else "was not held"
        else:
            outcome = "granted" if changed else "was held already"
        self.stdout.write(f"{email}: {options['role']} {outcome}")
