"""Rule examples and thresholds of the text filter's later stages, with what an installation starts with."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from safety import shipped
from safety.prefilter import shipped_examples

from accounts.together import Together


def plant(apps, schema_editor):
    shipped.plant(apps.get_model("safety", "Rule"), apps.get_model("safety", "Threshold"))
    shipped_examples.plant(apps.get_model("safety", "TextExample"), apps.get_model("safety", "TextThreshold"))


class Migration(migrations.Migration):
    dependencies = [
        ("pghistory", "0007_auto_20250421_0444"),
        ("safety", "0002_shipped"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="TextExampleEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("text", models.TextField()),
                ("category", models.CharField(max_length=20)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=8), size=None
                    ),
                ),
                ("author", models.CharField(max_length=254)),
                ("reason", models.TextField()),
                ("live", models.BooleanField(default=True)),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="TextThreshold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("category", models.CharField(max_length=20)),
                ("kind", models.CharField(max_length=8)),
                ("similarity_score", models.FloatField()),
                ("classifier_score", models.FloatField()),
                ("guard_score", models.FloatField(default=0.5)),
                ("author", models.CharField(max_length=254)),
                ("reason", models.TextField()),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name="TextThresholdEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("category", models.CharField(max_length=20)),
                ("kind", models.CharField(max_length=8)),
                ("similarity_score", models.FloatField()),
                ("classifier_score", models.FloatField()),
                ("guard_score", models.FloatField(default=0.5)),
                ("author", models.CharField(max_length=254)),
                ("reason", models.TextField()),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="TextThresholdOverride",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("field", models.CharField(max_length=40)),
                ("value", models.JSONField()),
                (
                    "author_kind",
                    models.CharField(
                        choices=[
                            ("operator", "Operator"),
                            ("auto_raise", "Auto-raise rule"),
                            ("runbook", "Runbook"),
                        ],
                        max_length=10,
                    ),
                ),
                ("author", models.CharField(max_length=254)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField(null=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("removed_by", models.CharField(blank=True, default="", max_length=254)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="TextExample",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("text", models.TextField()),
                ("category", models.CharField(max_length=20)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=8), size=None
                    ),
                ),
                ("author", models.CharField(max_length=254)),
                ("reason", models.TextField()),
                ("live", models.BooleanField(default=True)),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("text__regex", "\\S")), name="text_example_written"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason__regex", "\\S")), name="text_example_reason_written"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("author__regex", "\\S")), name="text_example_author_named"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "category__in",
                                [
                                    "jailbreak",
                                    "prompt_injection",
                                    "child_safety",
                                    "sexual",
                                    "likeness",
                                    "violence",
                                    "deception",
                                ],
                            )
                        ),
                        name="text_example_category_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kinds__contained_by", ["clip", "code"]), ("kinds__len__gte", 1)),
                        name="text_example_kinds_known",
                    ),
                    models.UniqueConstraint(fields=("category", "text"), name="text_example_once"),
                ],
            },
        ),
        Together([
        pgtrigger.migrations.AddTrigger(
            model_name="textexample",
            trigger=pgtrigger.compiler.Trigger(
                name="counts_versions",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func="NEW.version = OLD.version + 1; NEW.changed_at = clock_timestamp(); RETURN NEW;",
                    hash="7929b26f6a29422d98557c515565a14a711796fe",
                    operation="UPDATE",
                    pgid="pgtrigger_counts_versions_8f761",
                    table="safety_textexample",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textexample",
            trigger=pgtrigger.compiler.Trigger(
                name="bumps_policy",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('text', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ",
                    hash="8ec5ace649e603d4e91d8ece959d3238b1be7c24",
                    level="STATEMENT",
                    operation="INSERT OR UPDATE OR DELETE OR TRUNCATE",
                    pgid="pgtrigger_bumps_policy_7476d",
                    table="safety_textexample",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textexample",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "safety_textexampleevent" ("author", "category", "changed_at", "created_at", "id", "kinds", "live", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "text", "version") VALUES (NEW."author", NEW."category", NEW."changed_at", NEW."created_at", NEW."id", NEW."kinds", NEW."live", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."reason", NEW."text", NEW."version"); RETURN NULL;',
                    hash="db1791203805049524ae0565d488c3afb2f98bbf",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_bff26",
                    table="safety_textexample",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textexample",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func='INSERT INTO "safety_textexampleevent" ("author", "category", "changed_at", "created_at", "id", "kinds", "live", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "text", "version") VALUES (NEW."author", NEW."category", NEW."changed_at", NEW."created_at", NEW."id", NEW."kinds", NEW."live", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."reason", NEW."text", NEW."version"); RETURN NULL;',
                    hash="cc7d35df28c41423650b3ec655bf64d67061fa52",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_ca939",
                    table="safety_textexample",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textexample",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "safety_textexampleevent" ("author", "category", "changed_at", "created_at", "id", "kinds", "live", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "text", "version") VALUES (OLD."author", OLD."category", OLD."changed_at", OLD."created_at", OLD."id", OLD."kinds", OLD."live", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."reason", OLD."text", OLD."version"); RETURN NULL;',
                    hash="b6aa22048b002a692dd5b0ce5871e23325ad4b9f",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_25039",
                    table="safety_textexample",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="textexampleevent",
            name="pgh_context",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pghistory.context",
            ),
        ),
        migrations.AddField(
            model_name="textexampleevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="safety.textexample",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthreshold",
            constraint=models.UniqueConstraint(fields=("category", "kind"), name="text_threshold_one_each"),
        ),
        migrations.AddConstraint(
            model_name="textthreshold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "category__in",
                        [
                            "jailbreak",
                            "prompt_injection",
                            "child_safety",
                            "sexual",
                            "likeness",
                            "violence",
                            "deception",
                        ],
                    )
                ),
                name="text_threshold_category_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthreshold",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["clip", "code"])), name="text_threshold_kind_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="textthreshold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("classifier_score__gt", 0),
                    ("classifier_score__lte", 1.01),
                    ("guard_score__gt", 0),
                    ("guard_score__lte", 1.01),
                    ("similarity_score__gt", 0),
                    ("similarity_score__lte", 1.01),
                ),
                name="text_threshold_scores_are_shares",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthreshold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("category", "child_safety"), _negated=True),
                    models.Q(("classifier_score__lte", 1), ("similarity_score__lte", 1)),
                    _connector="OR",
                ),
                name="text_threshold_child_safety_stays_on",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthreshold",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason__regex", "\\S")), name="text_threshold_reason_written"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textthreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="counts_versions",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func="NEW.version = OLD.version + 1; NEW.changed_at = clock_timestamp(); RETURN NEW;",
                    hash="f1f617c18ba74fa172fa9be9e61587979b5524a0",
                    operation="UPDATE",
                    pgid="pgtrigger_counts_versions_7eac5",
                    table="safety_textthreshold",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textthreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="bumps_policy",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('text', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ",
                    hash="3e61b5009a5bb9af2520f718b622b67547e513e9",
                    level="STATEMENT",
                    operation="INSERT OR UPDATE OR DELETE OR TRUNCATE",
                    pgid="pgtrigger_bumps_policy_3a2ae",
                    table="safety_textthreshold",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textthreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "safety_textthresholdevent" ("author", "category", "changed_at", "classifier_score", "guard_score", "id", "kind", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "similarity_score", "version") VALUES (NEW."author", NEW."category", NEW."changed_at", NEW."classifier_score", NEW."guard_score", NEW."id", NEW."kind", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."reason", NEW."similarity_score", NEW."version"); RETURN NULL;',
                    hash="8abcb598ba7d54f078b90c5530a4f241231543eb",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_8ef11",
                    table="safety_textthreshold",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textthreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func='INSERT INTO "safety_textthresholdevent" ("author", "category", "changed_at", "classifier_score", "guard_score", "id", "kind", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "similarity_score", "version") VALUES (NEW."author", NEW."category", NEW."changed_at", NEW."classifier_score", NEW."guard_score", NEW."id", NEW."kind", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."reason", NEW."similarity_score", NEW."version"); RETURN NULL;',
                    hash="57509dc9a3b4a2dd6646f48018ded6ba302d86e4",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_0e7ee",
                    table="safety_textthreshold",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textthreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "safety_textthresholdevent" ("author", "category", "changed_at", "classifier_score", "guard_score", "id", "kind", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "similarity_score", "version") VALUES (OLD."author", OLD."category", OLD."changed_at", OLD."classifier_score", OLD."guard_score", OLD."id", OLD."kind", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."reason", OLD."similarity_score", OLD."version"); RETURN NULL;',
                    hash="c0d5b5236714735751db43d67717ef3e2a35e1e1",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_91800",
                    table="safety_textthreshold",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="textthresholdevent",
            name="pgh_context",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pghistory.context",
            ),
        ),
        migrations.AddField(
            model_name="textthresholdevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="safety.textthreshold",
            ),
        ),
        migrations.AddField(
            model_name="textthresholdoverride",
            name="threshold",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="overrides",
                to="safety.textthreshold",
            ),
        ),
        migrations.AddIndex(
            model_name="textthresholdoverride",
            index=models.Index(
                condition=models.Q(("removed_at", None)), fields=["threshold"], name="text_override_standing"
            ),
        ),
        migrations.AddConstraint(
            model_name="textthresholdoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason__regex", "\\S")), name="textthresholdoverride_reason_written"
            ),
        ),
        migrations.AddConstraint(
            model_name="textthresholdoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("author_kind__in", ["operator", "auto_raise", "runbook"]), ("author__regex", "\\S")
                ),
                name="textthresholdoverride_author_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthresholdoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expires_at__isnull", True), ("expires_at__gt", models.F("created_at")), _connector="OR"
                ),
                name="textthresholdoverride_expires_later",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthresholdoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("removed_at__isnull", True), ("removed_by", "")),
                    models.Q(("removed_at__isnull", False), ("removed_by__regex", "\\S")),
                    _connector="OR",
                ),
                name="textthresholdoverride_removed_by_someone",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthresholdoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(("field__in", ["similarity_score", "classifier_score", "guard_score"])),
                name="text_override_field_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="textthresholdoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(("value__gt", 0), ("value__lte", 1.01)), name="text_override_is_a_share"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="textthresholdoverride",
            trigger=pgtrigger.compiler.Trigger(
                name="bumps_policy",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('text', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ",
                    hash="23c6815c91985d0dfbc5440d7c683774604e0b16",
                    level="STATEMENT",
                    operation="INSERT OR UPDATE OR DELETE OR TRUNCATE",
                    pgid="pgtrigger_bumps_policy_bb637",
                    table="safety_textthresholdoverride",
                    when="AFTER",
                ),
            ),
        ),
        ]),
        migrations.RunPython(plant, migrations.RunPython.noop),
    ]
