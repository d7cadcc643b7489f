"""The policy a fresh installation begins with: open to everybody, no daily cap. Later policies are later rows."""

from django.db import migrations


def seed(apps, schema_editor):
    apps.get_model("accounts", "SignUpPolicy").objects.create(
        invite_only=False,
        daily_cap=None,
        author="first migration",
        reason="the defaults of the product",
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_ways_in_and_seals")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
