"""What an hour of a pool's device costs, as a live setting among the pool's others."""

from django.db import migrations, models
from django.db.models import Q

FIELDS = (
    "preempt_after_s",
    "most_preemptions",
    "soon_s",
    "most_wait_s",
    "gpu_hour_micro_dollars",
    "capacity_units_micro",
)


class Migration(migrations.Migration):
    dependencies = [("generation", "0018_endpoint_models")]
    operations = [
        migrations.AddField(
            model_name="poolsettings",
            name="gpu_hour_micro_dollars",
            field=models.BigIntegerField(db_default=3_500_000, default=3_500_000),
        ),
        migrations.AddConstraint(
            model_name="poolsettings",
            constraint=models.CheckConstraint(
                condition=Q(gpu_hour_micro_dollars__gte=0), name="pool_gpu_price_not_negative"
            ),
        ),
        migrations.RemoveConstraint(model_name="pooloverride", name="pool_override_field_known"),
        migrations.AddConstraint(
            model_name="pooloverride",
            constraint=models.CheckConstraint(
                condition=Q(field__in=FIELDS), name="pool_override_field_known"
            ),
        ),
    ]
