"""Placeholder; whoever owns it fills it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_first_sign_up_policy")]
    operations = []
