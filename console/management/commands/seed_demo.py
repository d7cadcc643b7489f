"""Make the demo organizations, their people and their credit, and print the sign-ins; safe at every start."""

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts import demo
from accounts.models import Organization
from billing import ledger


class Command(BaseCommand):
    help = "Make the demo data where it is missing, and print its sign-ins."

    def handle(self, *args: object, **options: object) -> None:
        rows = demo.seed(settings.HOME)
        ids = dict(Organization.objects.values_list("slug", "pk"))
        for organization in demo.ORGANIZATIONS:
            ledger.grant(
                ids[organization.slug],
                organization.credit_micro,
                bucket="promotional",
                idempotency_key=demo.GRANT_KEY,
                reason=demo.REASON,
                expires_at=None,
                actor=demo.AUTHOR,
            )
        self.stdout.write(demo.table(rows))
