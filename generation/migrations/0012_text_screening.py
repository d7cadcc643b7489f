from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generation", "0011_fenced_writes")]

    operations = []
