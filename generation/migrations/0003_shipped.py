"""The pools, lanes and models that every installation starts with; baselines, which overrides change live."""

from django.db import migrations

from generation import registry
from generation.registry import SHIPPED

TIERS = {
    # tier: (weight, floor, burst cap of clips, preemptible), as in the tier table of the specification
    "free": (1, 0.0, 3, True),
    "plus": (2, 0.1, 8, False),
    "pro": (4, 0.1, 24, False),
    "enterprise": (8, 0.1, 100, False),
}


def ship(apps, schema_editor):
    Pool = apps.get_model("generation", "Pool")
    Lane = apps.get_model("generation", "Lane")
    RegisteredModel = apps.get_model("generation", "RegisteredModel")
    Pool.objects.bulk_create([
        Pool(slug="clips", kind="clip", machine="high-bandwidth memory and fast interconnect"),
        Pool(slug="code", kind="code", machine="batches well"),
    ])
    Lane.objects.bulk_create(
        Lane(slug=f"{pool}-{tier}", pool_id=pool, tier_id=tier, weight=weight, floor=floor, max_running=cap,
             preemptible=preemptible)
        for pool in ("clips", "code")
        for tier, (weight, floor, cap, preemptible) in TIERS.items()
    )
    for shipped in SHIPPED:
        values = registry.shipped_values(shipped)
        RegisteredModel.objects.create(status="active", **values)


class Migration(migrations.Migration):
    dependencies = [("generation", "0002_guards"), ("accounts", "0002_tiers")]
    operations = [migrations.RunPython(ship, migrations.RunPython.noop)]
