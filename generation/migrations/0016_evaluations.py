"""Evaluations case by case, labels of coherence with the threshold they give, and measures of delivered clips."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from accounts.together import Together


class Migration(migrations.Migration):
    dependencies = [
        ("generation", "0015_review"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EvaluationCase",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "part",
                    models.CharField(
                        choices=[
                            ("golden", "Golden prompts"),
                            ("adversarial", "Adversarial prompts"),
                            ("painted", "Painted clips"),
                        ],
                        max_length=12,
                    ),
                ),
                ("golden_case", models.BigIntegerField(help_text="the id of safety's case", null=True)),
                ("kind", models.CharField(default="clip", max_length=8)),
                ("prompt", models.TextField()),
                ("must_block", models.BooleanField()),
                ("category", models.CharField(blank=True, default="", max_length=30)),
                ("recipe", models.JSONField(null=True)),
                (
                    "at_frame",
                    models.PositiveIntegerField(help_text="where the picture is painted in", null=True),
                ),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "ended",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("text", "Stopped by the text filter"),
                            ("admitted", "Admitted by the text filter"),
                            ("gates", "Stopped by the frame gates"),
                            ("review", "Left to people"),
                            ("unavailable", "Could not be checked"),
                            ("broken", "No clip came of it"),
                            ("delivered", "Would have been delivered"),
                        ],
                        default="",
                        max_length=12,
                    ),
                ),
                ("reached_gates", models.BooleanField(default=False)),
                (
                    "violation",
                    models.BooleanField(
                        default=False, help_text="must be blocked, and would have been delivered"
                    ),
                ),
                ("scan", models.BigIntegerField(help_text="the id of safety's scan", null=True)),
                ("credentials", models.CharField(blank=True, default="", max_length=20)),
                ("steps_run", models.PositiveIntegerField(null=True)),
                ("alignment", models.FloatField(help_text="1 to 5", null=True)),
                (
                    "warp_error",
                    models.FloatField(
                        help_text="of the full range; 0 where every frame follows the last", null=True
                    ),
                ),
                ("features", models.JSONField(null=True)),
                (
                    "path",
                    models.CharField(
                        blank=True, default="", help_text="the clip, for people to label", max_length=200
                    ),
                ),
                ("detail", models.TextField(blank=True, default="")),
                ("ms", models.PositiveIntegerField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="EvaluationRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "suite",
                    models.CharField(
                        choices=[("deploy-gate", "Deploy gate"), ("weekly", "Weekly")], max_length=12
                    ),
                ),
                ("short", models.BooleanField(default=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("passed", "Passed"),
                            ("failed", "Not passed"),
                            ("halted", "Halted"),
                        ],
                        default="running",
                        max_length=8,
                    ),
                ),
                ("seed", models.BigIntegerField()),
                ("figures", models.JSONField(default=dict)),
                ("missed", models.JSONField(default=list)),
                (
                    "features",
                    models.CharField(blank=True, default="", help_text="the feature network", max_length=120),
                ),
                ("judge", models.CharField(blank=True, default="", max_length=120)),
                ("device", models.CharField(blank=True, default="", max_length=120)),
                ("code_version", models.CharField(max_length=60)),
                ("author", models.CharField(max_length=254)),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="OnlineMeasure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("alignment", models.FloatField(null=True)),
                ("warp_error", models.FloatField()),
                ("judge", models.CharField(blank=True, default="", max_length=120)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name="CoherenceLabel",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("coherent", models.BooleanField()),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CoherenceThreshold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("value", models.FloatField()),
                ("balanced_accuracy", models.FloatField()),
                ("coherent", models.PositiveIntegerField(help_text="clips labelled so")),
                ("broken", models.PositiveIntegerField(help_text="clips labelled so")),
                ("author", models.CharField(max_length=254)),
                ("reason", models.TextField()),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("broken__gte", 1), ("coherent__gte", 1)),
                        name="coherence_threshold_has_both_kinds",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("author__regex", "\\S"), ("reason__regex", "\\S")),
                        name="coherence_threshold_written",
                    ),
                ],
            },
        ),
        Together([
        pgtrigger.migrations.AddTrigger(
            model_name="coherencethreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="8bb981e33c410d2983efd1f2069e7f5c91eb8694",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_f6ec4",
                    table="generation_coherencethreshold",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="coherencethreshold",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;",
                    hash="ef58725fa0e01daeac94cf26d93342421d3b3024",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_20cf5",
                    table="generation_coherencethreshold",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddField(
            model_name="coherencelabel",
            name="case",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="labels",
                to="generation.evaluationcase",
            ),
        ),
        migrations.AddField(
            model_name="evaluationrun",
            name="model",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="evaluation_runs",
                to="generation.registeredmodel",
            ),
        ),
        migrations.AddField(
            model_name="evaluationcase",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="cases",
                to="generation.evaluationrun",
            ),
        ),
        migrations.AddField(
            model_name="onlinemeasure",
            name="job",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="measure", to="generation.job"
            ),
        ),
        migrations.AddIndex(
            model_name="coherencelabel",
            index=models.Index(fields=["case", "by", "-id"], name="coherence_label_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="coherencelabel",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="23ac9c996d6fb2c83d6098d120591f63d4ceef68",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_eb613",
                    table="generation_coherencelabel",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="coherencelabel",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;",
                    hash="6e65a8079960b5905b020f7244d28ce5e2924be9",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_8b278",
                    table="generation_coherencelabel",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="evaluationrun",
            index=models.Index(fields=["suite", "-started_at"], name="evaluation_run_newest"),
        ),
        migrations.AddConstraint(
            model_name="evaluationrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("suite__in", ["deploy-gate", "weekly"])),
                name="evaluation_run_suite_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluationrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", True), ("state", "running")),
                    models.Q(("finished_at__isnull", False), ("state__in", ["passed", "failed", "halted"])),
                    _connector="OR",
                ),
                name="evaluation_run_ended_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluationrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "passed"), _negated=True), ("missed", []), _connector="OR"
                ),
                name="evaluation_run_passed_means_nothing_missed",
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluationrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "running"), ("suite", "weekly")),
                fields=("suite", "short"),
                name="one_weekly_run_at_a_time",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="evaluationrun",
            trigger=pgtrigger.compiler.Trigger(
                name="ended_stays",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."finished_at" IS NOT NULL)',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="03ae66c4c2c028850c7e0a9c473d6bc4e14552f9",
                    operation="UPDATE",
                    pgid="pgtrigger_ended_stays_f4440",
                    table="generation_evaluationrun",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="evaluationrun",
            trigger=pgtrigger.compiler.Trigger(
                name="no_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                    hash="7fccbc65189bf3302a22e40fc55fa63c55e81261",
                    operation="DELETE",
                    pgid="pgtrigger_no_delete_14f39",
                    table="generation_evaluationrun",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="evaluationrun",
            trigger=pgtrigger.compiler.Trigger(
                name="no_pass_with_a_violation",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.\"state\" = 'passed')",
                    func="\nIF EXISTS (SELECT 1 FROM generation_evaluationcase c\n            WHERE c.run_id = NEW.id AND (c.violation OR c.done_at IS NULL)) THEN\n  RAISE EXCEPTION 'evaluation run % has cases that were delivered wrongly or not run, and has not passed', NEW.id\n    USING ERRCODE = 'check_violation';\nEND IF;\nRETURN NEW;\n",
                    hash="76910bf8701e360c399f0dfc61a5f6b82560f1ef",
                    operation="INSERT OR UPDATE",
                    pgid="pgtrigger_no_pass_with_a_violation_28729",
                    table="generation_evaluationrun",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="evaluationcase",
            index=models.Index(
                condition=models.Q(("done_at", None)),
                fields=["run", "number"],
                name="evaluation_case_waiting",
            ),
        ),
        migrations.AddIndex(
            model_name="evaluationcase",
            index=models.Index(
                condition=models.Q(("path", ""), _negated=True),
                fields=["-id"],
                name="evaluation_case_with_clip",
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluationcase",
            constraint=models.UniqueConstraint(
                fields=("run", "number"), name="one_evaluation_case_per_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluationcase",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("done_at__isnull", True), ("ended", "")),
                    models.Q(("done_at__isnull", False), models.Q(("ended", ""), _negated=True)),
                    _connector="OR",
                ),
                name="evaluation_case_ended_when_done",
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluationcase",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended", "delivered"), ("must_block", True), ("violation", True)),
                    models.Q(
                        ("violation", False),
                        models.Q(("ended", "delivered"), ("must_block", True), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="evaluation_violation_is_a_delivery_of_what_must_block",
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluationcase",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended", "delivered"), _negated=True),
                    ("credentials", "Trusted"),
                    _connector="OR",
                ),
                name="evaluation_delivered_means_trusted",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="evaluationcase",
            trigger=pgtrigger.compiler.Trigger(
                name="done_stays",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."done_at" IS NOT NULL)',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="e9b96dc301b8267e6dc92575cafe13d7b1deadfc",
                    operation="UPDATE",
                    pgid="pgtrigger_done_stays_523ae",
                    table="generation_evaluationcase",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="evaluationcase",
            trigger=pgtrigger.compiler.Trigger(
                name="no_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                    hash="430e99e6fca05e98d4bb1357a81faee3049f962d",
                    operation="DELETE",
                    pgid="pgtrigger_no_delete_ed51e",
                    table="generation_evaluationcase",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="onlinemeasure",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="82d312883729947333f607bd785c5cfa82b4d664",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_9c515",
                    table="generation_onlinemeasure",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="onlinemeasure",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;",
                    hash="34d3ab76cfe3f0d8637f981b9aa508d32080e57b",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_292c1",
                    table="generation_onlinemeasure",
                    when="BEFORE",
                ),
            ),
        ),
        ]),
    ]
