from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generation", "0012_text_screening")]

    operations = []
