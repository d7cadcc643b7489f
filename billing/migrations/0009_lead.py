"""Placeholder; whoever owns it fills it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_second_person_and_refusals_alike")]
    operations = []
