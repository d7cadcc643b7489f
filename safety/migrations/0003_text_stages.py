from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("safety", "0002_shipped")]

    operations = []
