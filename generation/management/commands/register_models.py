"""Bring the rows of the shipped models up to date; every start of the service calls it."""

from django.core.management.base import BaseCommand

from generation import registry
from generation.evaluation import measured
from generation.models import RegisteredModel


class Command(BaseCommand):
    help = "Register the shipped models whose files have changed, as candidates for the deploy gate."

    def handle(self, *args: object, **options: object) -> None:
        for model in registry.register_shipped():
            self.stdout.write(
                f"{model} is a candidate; the first worker of its pool puts it through the deploy gate"
            )
        for model in RegisteredModel.objects.filter(name__in=[shipped.name for shipped in registry.SHIPPED]):
            measured.bring_in(model)
