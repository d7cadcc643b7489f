from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("safety", "0004_frame_gates")]

    operations = []
