from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generation", "0013_input_images")]

    operations = []
