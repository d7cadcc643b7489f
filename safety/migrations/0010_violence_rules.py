"""Four more families of rules against violence."""

from django.db import migrations

from safety import shipped


def plant(apps, schema_editor):
    shipped.plant(apps.get_model("safety", "Rule"), apps.get_model("safety", "Threshold"))


class Migration(migrations.Migration):
    dependencies = [("safety", "0009_trials")]
    operations = [migrations.RunPython(plant, migrations.RunPython.noop)]
