"""Make the shipped models' current files the active revisions; every start of the service calls it."""

from django.core.management.base import BaseCommand

from generation import registry


class Command(BaseCommand):
    help = "Register the shipped models whose files have changed."

    def handle(self, *args: object, **options: object) -> None:
        for model in registry.register_shipped():
            self.stdout.write(f"{model} is active now")
