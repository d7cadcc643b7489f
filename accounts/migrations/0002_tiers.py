"""The four tiers and their first terms, with the defaults of the product. Later terms are later rows."""

from datetime import datetime, timezone

from django.db import migrations

FIRST_DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)
UNIT = 1_000_000  # micro-units

TIERS = [("free", "Free"), ("plus", "Plus"), ("pro", "Pro"), ("enterprise", "Enterprise")]

TERMS = {
    "allowance_day_micro": [50 * UNIT, 400 * UNIT, 4_000 * UNIT, None],
    "allowance_month_micro": [300 * UNIT, 4_000 * UNIT, 40_000 * UNIT, None],
    "requests_per_minute": [10, 60, 300, 1_200],
    "requests_per_minute_key": [10, 30, 120, 300],
    "max_open": [10, 60, 200, 1_000],
    "max_running": [3, 8, 24, 100],
    "units_in_flight_micro": [150 * UNIT, 1_500 * UNIT, 8_000 * UNIT, 50_000 * UNIT],
    "steps": [30, 50, 50, 50],
    "max_width": [854, 1_920, 1_920, 1_920],
    "max_height": [480, 1_080, 1_080, 1_080],
    "max_seconds": [5, 10, 20, 60],
    "lane_weight": [1, 2, 4, 8],
    "preemptible": [True, False, False, False],
    "precision": ["low", "full", "full", "full"],
    "target_s": [300, 120, 120, 120],
}


def seed(apps, schema_editor):
    tier_model = apps.get_model("accounts", "Tier")
    terms_model = apps.get_model("accounts", "TierTerms")
    for rank, (slug, name) in enumerate(TIERS):
        tier = tier_model.objects.create(slug=slug, name=name, rank=rank)
        terms_model.objects.create(
            tier=tier,
            effective_from=FIRST_DAY,
            author="first migration",
            reason="the defaults of the product",
            **{column: values[rank] for column, values in TERMS.items()},
        )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
