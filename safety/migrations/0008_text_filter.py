"""The rules as they ship now: those that are no longer among them are switched off, never deleted, and new ones planted."""

from django.db import migrations

from safety import shipped
from safety.prefilter import shipped_examples


def renew(apps, schema_editor):
    rules = apps.get_model("safety", "Rule")
    shipping = [pattern for _, _, pattern, _ in shipped.RULES]
    old = rules.objects.filter(author=shipped.AUTHOR, live=True).exclude(pattern__in=shipping)
    old.update(live=False, reason="Replaced by what ships since the text filter was made anew.")
    shipped.plant(rules, apps.get_model("safety", "Threshold"))
    shipped_examples.plant(apps.get_model("safety", "TextExample"), apps.get_model("safety", "TextThreshold"))


class Migration(migrations.Migration):
    dependencies = [("safety", "0007_review")]
    operations = [migrations.RunPython(renew, migrations.RunPython.noop)]
