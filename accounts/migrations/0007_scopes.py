"""Placeholder; whoever owns it fills it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_webhooks")]
    operations = []
