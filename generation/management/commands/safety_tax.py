"""What checking texts took: `manage.py safety_tax [--hours 24]`, one JSON object a line."""

import json
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone

from generation import safety_tax


class Command(BaseCommand):
    help = (
        "The safety tax of the last hours per stage of the text filter: texts, p50 and p99 in milliseconds."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--hours", type=float, default=24)

    def handle(self, *args, hours: float, **options) -> None:
        now = timezone.now()
        for one in safety_tax.tax(now - timedelta(hours=hours), now, timedelta(days=365)):
            if one.bucket is None:
                figures = {"p50_ms": round(one.p50_ms, 3), "p99_ms": round(one.p99_ms, 3)}
                self.stdout.write(json.dumps({"stage": one.stage, "texts": one.texts, **figures}))
