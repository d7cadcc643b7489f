"""The rows that billing can't do without: the first prices and the platform's own accounts."""

from datetime import UTC, datetime

from django.db import migrations

# 1 unit = 0.3 credit; 1,000 tokens = 1 unit.
MICRO_PER_UNIT = 300_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def seed(apps, schema_editor):
    PriceVersion = apps.get_model("billing", "PriceVersion")
    PriceVersion.objects.bulk_create(
        PriceVersion(
            operation=operation,
            micro_per_unit=MICRO_PER_UNIT,
            micro_per_credit=1_000_000,
            effective_from=FIRST,
            author="installation",
            reason="The first price: 1 unit = 0.3 credit.",
        )
        for operation in ("clip", "code", "allowance")
    )
    Account = apps.get_model("billing", "Account")
    Account.objects.bulk_create(Account(kind=kind) for kind in ("revenue", "grants", "cash", "allowance"))


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    # The rows are append-only; going back drops the tables with them.
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
