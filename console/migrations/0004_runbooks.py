"""Changes from runbooks, and what they moved; the alarm about the synthetic jobs."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

CHANGED = "RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;"
EMPTIED = "RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;"


def append_only(model, table, ids, hashes):
    """The two triggers of accounts.append_only, as they were written then."""
    return [
        pgtrigger.migrations.AddTrigger(
            model_name=model,
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=CHANGED,
                    hash=hashes[0],
                    operation="UPDATE OR DELETE",
                    pgid=f"pgtrigger_append_only_{ids[0]}",
                    table=table,
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name=model,
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=EMPTIED,
                    hash=hashes[1],
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid=f"pgtrigger_no_truncate_{ids[1]}",
                    table=table,
                    when="BEFORE",
                ),
            ),
        ),
    ]


def ship(apps, schema_editor):
    """The settings of the alarm about synthetic jobs, as policy/catalog.py has them."""
    apps.get_model("console", "AlarmDefinition").objects.create(
        name="synthetic",
        threshold=420.0,
        healthy=60.0,
        escalate=1800.0,
        for_s=60.0,
        clear_s=30.0,
        least_events=1,
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_scopes"), ("console", "0003_incidents")]

    operations = [
        migrations.CreateModel(
            name="MeasuredEffect",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("figure", models.CharField(max_length=40)),
                ("scope", models.CharField(blank=True, max_length=200)),
                ("window_s", models.PositiveIntegerField()),
                ("before", models.FloatField(null=True)),
                ("after", models.FloatField(null=True)),
                ("at", models.DateTimeField()),
                (
                    "entry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="effects",
                        to="accounts.auditentry",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("entry", "figure"), name="one_effect_per_entry_and_figure"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("figure__regex", "\\S")), name="effect_figure_named"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("window_s__gt", 0)), name="effect_has_a_window"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="RunbookUse",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("runbook", models.SlugField()),
                ("step", models.SlugField()),
                ("incident", models.BigIntegerField(null=True)),
                (
                    "entry",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runbook_use",
                        to="accounts.auditentry",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["runbook", "-entry"], name="runbook_use_newest"),
                    models.Index(
                        condition=models.Q(("incident__isnull", False)),
                        fields=["incident"],
                        name="runbook_use_of_incident",
                    ),
                ]
            },
        ),
        *append_only(
            "measuredeffect",
            "console_measuredeffect",
            ("e0ecf", "6ddb0"),
            ("64a0e49c0b9fd18d5dac5ca89509bed94e3919b7", "c35cb208ee83c171c11ea7a458e41c345ee6feb7"),
        ),
        *append_only(
            "runbookuse",
            "console_runbookuse",
            ("6c193", "600d6"),
            ("7943d8017a979e95ebdacad146251dea6b956fbd", "d553c01581ec66d2ce38b47d83da587d831c5714"),
        ),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
