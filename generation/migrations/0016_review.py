from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generation", "0015_live_safety")]

    operations = []
