from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generation", "0014_held_clips")]

    operations = []
