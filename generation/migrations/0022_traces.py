"""The traceparent of a job's request, in a table of its own."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0021_studio")]

    operations = [
        migrations.CreateModel(
            name="JobTrace",
            fields=[
                (
                    "job",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="trace_context",
                        serialize=False,
                        to="generation.job",
                    ),
                ),
                ("traceparent", models.CharField(max_length=55)),
            ],
        ),
    ]
