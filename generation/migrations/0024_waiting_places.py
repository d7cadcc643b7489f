"""Whether anybody waits at a place as a column of its own: a job that joins others changes no index."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("generation", "0023_pool_pause")]
    operations = [
        migrations.AddField(
            "laneorganization",
            "has_waiting",
            models.GeneratedField(
                expression=Q(waiting__gt=0), output_field=models.BooleanField(), db_persist=True
            ),
        ),
        migrations.RemoveIndex("laneorganization", "lane_organization_next"),
        migrations.AddIndex(
            "laneorganization",
            models.Index(
                fields=["lane", "tag", "id"],
                condition=Q(has_waiting=True, at_cap=False),
                name="lane_organization_next",
            ),
        ),
        migrations.AlterField(
            "laneorganization",
            "lane",
            models.ForeignKey(
                "generation.lane",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="organizations",
                db_index=False,
            ),
        ),
    ]
