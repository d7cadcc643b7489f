"""A pool can be paused: one more field that an override of it may set."""

from django.db import migrations, models
from django.db.models import Q

FIELDS = (
    "preempt_after_s",
    "most_preemptions",
    "soon_s",
    "most_wait_s",
    "gpu_hour_micro_dollars",
    "capacity_units_micro",
    "paused",
)


class Migration(migrations.Migration):
    dependencies = [("generation", "0022_traces")]

    operations = [
        migrations.RemoveConstraint(model_name="pooloverride", name="pool_override_field_known"),
        migrations.AddConstraint(
            model_name="pooloverride",
            constraint=models.CheckConstraint(
                condition=Q(field__in=FIELDS), name="pool_override_field_known"
            ),
        ),
    ]
