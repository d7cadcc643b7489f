from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("safety", "0003_text_stages")]

    operations = []
