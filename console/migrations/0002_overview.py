"""The overview: what happened per step of time, who waited at its end, and how far it was counted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("console", "0001_alarms")]
    operations = [
        migrations.CreateModel(
            name="Rollup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("grain", models.PositiveIntegerField()),
                ("at", models.DateTimeField()),
                ("pool", models.CharField(blank=True, max_length=50)),
                ("tier", models.CharField(blank=True, max_length=50)),
                ("model", models.CharField(blank=True, max_length=100)),
                ("counts", models.JSONField(default=dict)),
                ("spreads", models.JSONField(default=dict)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("grain", "at", "pool", "tier", "model"), name="one_rollup_per_step_and_lane"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("grain__in", (60, 600, 3600, 86400))), name="rollup_grain_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WaitingAges",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("pool", models.CharField(max_length=50)),
                ("tier", models.CharField(max_length=50)),
                ("model", models.CharField(max_length=100)),
                ("ages", models.JSONField(default=dict)),
            ],
            options={
                "verbose_name_plural": "waiting ages",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("at", "pool", "tier", "model"), name="one_waiting_per_moment_and_lane"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RolledMinute",
            fields=[
                ("minute", models.DateTimeField(primary_key=True, serialize=False)),
                ("events", models.PositiveIntegerField()),
                ("job_event_id", models.BigIntegerField()),
                ("whole", models.BooleanField()),
                ("at", models.DateTimeField()),
            ],
        ),
    ]
