"""The rules as they ship now: more of violence; any first name with any surname is no public figure any more."""

from importlib import import_module

from django.db import migrations

renew = import_module("safety.migrations.0008_text_filter").renew


class Migration(migrations.Migration):
    dependencies = [("safety", "0008_text_filter")]
    operations = [migrations.RunPython(renew, migrations.RunPython.noop)]
