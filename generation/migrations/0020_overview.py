"""What happened between two moments, of all jobs: events and attempts are written in the order of time, so that a few
pages of an index say where to look, and writing one more of either costs next to nothing."""

import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generation", "0019_gpu_price")]
    operations = [
        migrations.AddIndex(
            model_name="jobevent",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["at"], name="job_event_by_time"
            ),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["started_at"], name="attempt_by_time"
            ),
        ),
    ]
