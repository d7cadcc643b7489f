"""Placeholder; whoever owns it fills it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("console", "0002_overview")]
    operations = []
