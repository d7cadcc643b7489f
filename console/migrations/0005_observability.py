"""What metrics count: a mark per source, and the totals up to it."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("console", "0004_runbooks")]

    operations = [
        migrations.CreateModel(
            name="MetricMark",
            fields=[
                ("source", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("counted_upto", models.BigIntegerField(default=0)),
                ("coming_upto", models.BigIntegerField(null=True)),
                (
                    "coming_running",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                ("counted_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="MetricTotal",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("source", models.CharField(max_length=40)),
                ("series", models.CharField(max_length=60)),
                (
                    "labels",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=120), size=None
                    ),
                ),
                ("value", models.FloatField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "series", "labels"), name="one_total_per_series"
                    )
                ],
            },
        ),
    ]
