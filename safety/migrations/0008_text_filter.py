"""Placeholder; whoever owns it fills it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("safety", "0007_review")]
    operations = []
