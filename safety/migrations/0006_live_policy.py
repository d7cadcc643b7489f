from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("safety", "0005_provenance_keys")]

    operations = []
