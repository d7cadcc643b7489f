"""What an endpoint says of its prefix cache, and when it was last away."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0017_clip_api")]
    operations = [
        migrations.AddField("endpointload", "prefix_queries", models.BigIntegerField(null=True)),
        migrations.AddField("endpointload", "prefix_hits", models.BigIntegerField(null=True)),
        migrations.AddField("endpointload", "away_at", models.DateTimeField(null=True)),
    ]
