"""Make an API key from the command line: the key alone on stdout, everything else on stderr."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import keys
from accounts.errors import ApiError
from accounts.models import Organization


class Command(BaseCommand):
    help = "Make an API key for an organization and print it, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, help="slug of the organization")
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument(
            "--scopes",
            nargs="+",
            default=["read", "generate"],
            choices=keys.SCOPES,
            help="what the key may do (read generate)",
        )

    def handle(self, *args: object, **options: object) -> None:
        organization = Organization.objects.filter(slug=options["organization"]).first()
        if organization is None:
            raise CommandError(f"There is no organization with the slug {options['organization']}.")
        try:
            _, raw = keys.create(
                organization, options["name"], options["scopes"], by="create_api_key command"
            )
        except ApiError as error:
            raise CommandError(error.message) from error
        self.stdout.write(raw)
