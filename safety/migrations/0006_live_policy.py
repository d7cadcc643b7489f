# Live policy: likeness kinds, scan policy, prompt categories, rules for a time, golden sets.

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from safety.golden import cases as golden
from safety.policy import shipped as policy_shipped

from accounts.together import Together


def plant(apps, schema_editor):
    model = apps.get_model
    policy_shipped.plant(
        model("safety", "LikenessThreshold"),
        model("safety", "ScanPolicy"),
        model("safety", "PromptCategory"),
        model("safety", "Threshold"),
    )
    policy_shipped.keep_likeness_overrides(
        model("safety", "Threshold"),
        model("safety", "LikenessThreshold"),
        model("safety", "LikenessThresholdOverride"),
    )
    policy_shipped.widen_canary_rules(model("safety", "Rule"))
    golden.plant(model("safety", "GoldenCase"))


class Migration(migrations.Migration):
    dependencies = [("safety", "0005_provenance_keys")]

    operations = [
        migrations.CreateModel(
            name='GoldenFinding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('gate', models.CharField(max_length=40)),
                ('gate_version', models.CharField(max_length=40)),
                ('frame_class', models.CharField(max_length=20)),
                ('sees_faces', models.BooleanField(default=False)),
                ('score', models.FloatField()),
                ('usable', models.BooleanField()),
                ('available', models.BooleanField()),
                ('evidence', models.JSONField(default=dict)),
                ('looked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='GoldenReading',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=8)),
                ('allowed', models.BooleanField()),
                ('category', models.CharField(blank=True, default='', max_length=30)),
                ('stage', models.CharField(blank=True, default='', max_length=20)),
                ('topic', models.CharField(blank=True, default='', max_length=30)),
                ('scores', models.JSONField(default=dict)),
                ('looked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='LikenessThreshold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('private_person', 'Private person'), ('public_figure', 'Public figure'), ('politician', 'Politician')], max_length=20, unique=True)),
                ('block_score', models.FloatField()),
                ('review_score', models.FloatField()),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='LikenessThresholdEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('kind', models.CharField(choices=[('private_person', 'Private person'), ('public_figure', 'Public figure'), ('politician', 'Politician')], max_length=20)),
                ('block_score', models.FloatField()),
                ('review_score', models.FloatField()),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='LikenessThresholdOverride',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('field', models.CharField(max_length=40)),
                ('value', models.JSONField()),
                ('author_kind', models.CharField(choices=[('operator', 'Operator'), ('auto_raise', 'Auto-raise rule'), ('runbook', 'Runbook')], max_length=10)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(null=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('removed_by', models.CharField(blank=True, default='', max_length=254)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='PromptCategory',
            fields=[
                ('slug', models.CharField(max_length=30, primary_key=True, serialize=False)),
                ('label', models.CharField(max_length=60)),
                ('benign', models.BooleanField()),
                ('clip_suspended', models.BooleanField(default=False)),
                ('code_suspended', models.BooleanField(default=False)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'prompt categories',
            },
        ),
        migrations.CreateModel(
            name='PromptCategoryEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('slug', models.CharField(max_length=30, serialize=False)),
                ('label', models.CharField(max_length=60)),
                ('benign', models.BooleanField()),
                ('clip_suspended', models.BooleanField(default=False)),
                ('code_suspended', models.BooleanField(default=False)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='PromptCategoryOverride',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('field', models.CharField(max_length=40)),
                ('value', models.JSONField()),
                ('author_kind', models.CharField(choices=[('operator', 'Operator'), ('auto_raise', 'Auto-raise rule'), ('runbook', 'Runbook')], max_length=10)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(null=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('removed_by', models.CharField(blank=True, default='', max_length=254)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='RuleOverride',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('field', models.CharField(max_length=40)),
                ('value', models.JSONField()),
                ('author_kind', models.CharField(choices=[('operator', 'Operator'), ('auto_raise', 'Auto-raise rule'), ('runbook', 'Runbook')], max_length=10)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(null=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('removed_by', models.CharField(blank=True, default='', max_length=254)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ScanPolicy',
            fields=[
                ('name', models.CharField(default='scans', max_length=8, primary_key=True, serialize=False)),
                ('faces', models.CharField(choices=[('allow', 'Delivered'), ('review', 'Sent to review'), ('block', 'Blocked')], default='allow', max_length=8)),
                ('likeness', models.CharField(choices=[('by_score', 'From the review score on'), ('any_sign', 'Any score above 0'), ('everything', 'Every clip')], default='by_score', max_length=12)),
                ('intimate', models.CharField(choices=[('by_score', 'From the review score on'), ('any_sign', 'Any score above 0'), ('everything', 'Every clip')], default='by_score', max_length=12)),
                ('violence', models.CharField(choices=[('by_score', 'From the review score on'), ('any_sign', 'Any score above 0'), ('everything', 'Every clip')], default='by_score', max_length=12)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='ScanPolicyEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('name', models.CharField(default='scans', max_length=8, serialize=False)),
                ('faces', models.CharField(choices=[('allow', 'Delivered'), ('review', 'Sent to review'), ('block', 'Blocked')], default='allow', max_length=8)),
                ('likeness', models.CharField(choices=[('by_score', 'From the review score on'), ('any_sign', 'Any score above 0'), ('everything', 'Every clip')], default='by_score', max_length=12)),
                ('intimate', models.CharField(choices=[('by_score', 'From the review score on'), ('any_sign', 'Any score above 0'), ('everything', 'Every clip')], default='by_score', max_length=12)),
                ('violence', models.CharField(choices=[('by_score', 'From the review score on'), ('any_sign', 'Any score above 0'), ('everything', 'Every clip')], default='by_score', max_length=12)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ScanPolicyOverride',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('field', models.CharField(max_length=40)),
                ('value', models.JSONField()),
                ('author_kind', models.CharField(choices=[('operator', 'Operator'), ('auto_raise', 'Auto-raise rule'), ('runbook', 'Runbook')], max_length=10)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(null=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('removed_by', models.CharField(blank=True, default='', max_length=254)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.AlterField(
            model_name='verdict',
            name='threshold_version',
            field=models.CharField(max_length=120),
        ),
        migrations.CreateModel(
            name='GoldenCase',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('suite', models.CharField(choices=[('golden', 'Golden prompts'), ('adversarial', 'Adversarial prompts'), ('frames', 'Frames')], max_length=12)),
                ('expected', models.CharField(choices=[('must_pass', 'Must pass'), ('must_block', 'Must be blocked')], max_length=10)),
                ('category', models.CharField(blank=True, default='', max_length=30)),
                ('kinds', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=8), default=list, size=None)),
                ('text', models.TextField(blank=True, default='')),
                ('recipe', models.JSONField(null=True)),
                ('source', models.CharField(max_length=200)),
                ('reason', models.TextField()),
                ('author', models.CharField(max_length=254)),
                ('digest', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('retired_at', models.DateTimeField(null=True)),
                ('retired_by', models.CharField(blank=True, default='', max_length=254)),
                ('retired_reason', models.TextField(blank=True, default='')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('suite__in', ['golden', 'adversarial', 'frames'])), name='golden_case_suite_known'), models.CheckConstraint(condition=models.Q(models.Q(('category', ''), ('expected', 'must_pass')), models.Q(('expected', 'must_block'), models.Q(('category', ''), _negated=True)), _connector='OR'), name='golden_case_expected_known'), models.CheckConstraint(condition=models.Q(models.Q(('kinds__len', 0), ('recipe__isnull', False), ('suite', 'frames'), ('text', '')), models.Q(('kinds__contained_by', ['clip', 'code']), ('kinds__len__gte', 1), ('recipe__isnull', True), ('suite__in', ['golden', 'adversarial']), ('text__regex', '\\S')), _connector='OR'), name='golden_case_whole'), models.CheckConstraint(condition=models.Q(('author__regex', '\\S'), ('reason__regex', '\\S'), ('source__regex', '\\S')), name='golden_case_signed'), models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='golden_case_digest'), models.CheckConstraint(condition=models.Q(models.Q(('retired_at__isnull', True), ('retired_by', ''), ('retired_reason', '')), models.Q(('retired_at__isnull', False), ('retired_by__regex', '\\S'), ('retired_reason__regex', '\\S')), _connector='OR'), name='golden_case_retired_whole'), models.UniqueConstraint(condition=models.Q(('retired_at', None)), fields=('digest',), name='golden_case_once')],
            },
        ),
        Together([
        pgtrigger.migrations.AddTrigger(
            model_name='goldencase',
            trigger=pgtrigger.compiler.Trigger(name='only_retired', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n                IF OLD.retired_at IS NOT NULL\n                OR to_jsonb(NEW) - ARRAY['retired_at', 'retired_by', 'retired_reason'] IS DISTINCT FROM to_jsonb(OLD) - ARRAY['retired_at', 'retired_by', 'retired_reason'] THEN\n                    RAISE EXCEPTION 'golden case % stands as it was written', OLD.id\n                    USING ERRCODE = 'check_violation';\n                END IF;\n                IF OLD.category = 'child_safety' AND OLD.expected = 'must_block' THEN\n                    RAISE EXCEPTION 'golden case % is of child safety: it is never retired', OLD.id\n                    USING ERRCODE = 'check_violation';\n                END IF;\n                RETURN NEW;\n            ", hash='9e72279aeb8d63f798b6e31f8534832d9c132bd5', operation='UPDATE', pgid='pgtrigger_only_retired_91811', table='safety_goldencase', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='goldencase',
            trigger=pgtrigger.compiler.Trigger(name='golden_cases_are_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='614f1b5e2653a2ae7c07a3aa25e516ca64adb682', operation='DELETE', pgid='pgtrigger_golden_cases_are_kept_55f9e', table='safety_goldencase', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='goldencase',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'golden sets only grow: the table cannot be truncated';", hash='e57df92b3cbf9074b4cb8c1cca62ab93c69cd102', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_20bcd', table='safety_goldencase', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='goldenfinding',
            name='case',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='safety.goldencase'),
        ),
        migrations.AddField(
            model_name='goldenreading',
            name='case',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='readings', to='safety.goldencase'),
        ),
        migrations.AddConstraint(
            model_name='likenessthreshold',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['private_person', 'public_figure', 'politician'])), name='likeness_threshold_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='likenessthreshold',
            constraint=models.CheckConstraint(condition=models.Q(('block_score__lte', 1), ('review_score__gt', 0), ('review_score__lte', models.F('block_score'))), name='likeness_threshold_in_order'),
        ),
        migrations.AddConstraint(
            model_name='likenessthreshold',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='likeness_threshold_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likenessthreshold',
            trigger=pgtrigger.compiler.Trigger(name='counts_versions', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='NEW.version = OLD.version + 1; NEW.changed_at = clock_timestamp(); RETURN NEW;', hash='69abd9c708212b780b321a01476fe7d4f2c7a9b4', operation='UPDATE', pgid='pgtrigger_counts_versions_64849', table='safety_likenessthreshold', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likenessthreshold',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('frames', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='93bb4c4e4a4d1379bde94fecd166c4521bd9b47a', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_57771', table='safety_likenessthreshold', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likenessthreshold',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_likenessthresholdevent" ("author", "block_score", "changed_at", "id", "kind", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "review_score", "version") VALUES (NEW."author", NEW."block_score", NEW."changed_at", NEW."id", NEW."kind", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."reason", NEW."review_score", NEW."version"); RETURN NULL;', hash='af8f34e3e8fb18ae45fcc7458a95524f19e5dc9f', operation='INSERT', pgid='pgtrigger_insert_insert_1e1e3', table='safety_likenessthreshold', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likenessthreshold',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "safety_likenessthresholdevent" ("author", "block_score", "changed_at", "id", "kind", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "review_score", "version") VALUES (NEW."author", NEW."block_score", NEW."changed_at", NEW."id", NEW."kind", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."reason", NEW."review_score", NEW."version"); RETURN NULL;', hash='292c571cf39081c41e66d0b33199859f7a4d83f6', operation='UPDATE', pgid='pgtrigger_update_update_fa314', table='safety_likenessthreshold', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likenessthreshold',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_likenessthresholdevent" ("author", "block_score", "changed_at", "id", "kind", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "review_score", "version") VALUES (OLD."author", OLD."block_score", OLD."changed_at", OLD."id", OLD."kind", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."reason", OLD."review_score", OLD."version"); RETURN NULL;', hash='7a51e7e19c8e27e09eb094616380a5a93d6d8415', operation='DELETE', pgid='pgtrigger_delete_delete_c36fd', table='safety_likenessthreshold', when='AFTER')),
        ),
        migrations.AddField(
            model_name='likenessthresholdevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='likenessthresholdevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='safety.likenessthreshold'),
        ),
        migrations.AddField(
            model_name='likenessthresholdoverride',
            name='threshold',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='safety.likenessthreshold'),
        ),
        migrations.AddConstraint(
            model_name='promptcategory',
            constraint=models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z_]+$')), name='prompt_category_slug_plain'),
        ),
        migrations.AddConstraint(
            model_name='promptcategory',
            constraint=models.CheckConstraint(condition=models.Q(('label__regex', '\\S')), name='prompt_category_labelled'),
        ),
        migrations.AddConstraint(
            model_name='promptcategory',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='prompt_category_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promptcategory',
            trigger=pgtrigger.compiler.Trigger(name='counts_versions', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='NEW.version = OLD.version + 1; NEW.changed_at = clock_timestamp(); RETURN NEW;', hash='0d080e645734a5b13792051499d16b2bb1a432c1', operation='UPDATE', pgid='pgtrigger_counts_versions_6f6fd', table='safety_promptcategory', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promptcategory',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('text', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='78456379a4fa345e7dae4a6fa65abf13394b825d', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_c86d4', table='safety_promptcategory', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promptcategory',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_promptcategoryevent" ("author", "benign", "changed_at", "clip_suspended", "code_suspended", "label", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "slug", "version") VALUES (NEW."author", NEW."benign", NEW."changed_at", NEW."clip_suspended", NEW."code_suspended", NEW."label", _pgh_attach_context(), NOW(), \'insert\', NEW."slug", NEW."reason", NEW."slug", NEW."version"); RETURN NULL;', hash='cecc9ca4bf071c0e1d133c55659d15dd774fa8c2', operation='INSERT', pgid='pgtrigger_insert_insert_323ad', table='safety_promptcategory', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promptcategory',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "safety_promptcategoryevent" ("author", "benign", "changed_at", "clip_suspended", "code_suspended", "label", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "slug", "version") VALUES (NEW."author", NEW."benign", NEW."changed_at", NEW."clip_suspended", NEW."code_suspended", NEW."label", _pgh_attach_context(), NOW(), \'update\', NEW."slug", NEW."reason", NEW."slug", NEW."version"); RETURN NULL;', hash='82bbce9a2408e836d3fac5bff298276ee6c02a83', operation='UPDATE', pgid='pgtrigger_update_update_04f96', table='safety_promptcategory', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promptcategory',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_promptcategoryevent" ("author", "benign", "changed_at", "clip_suspended", "code_suspended", "label", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "slug", "version") VALUES (OLD."author", OLD."benign", OLD."changed_at", OLD."clip_suspended", OLD."code_suspended", OLD."label", _pgh_attach_context(), NOW(), \'delete\', OLD."slug", OLD."reason", OLD."slug", OLD."version"); RETURN NULL;', hash='6432dfb36a905935f46f243227d51e17aea600fc', operation='DELETE', pgid='pgtrigger_delete_delete_b6377', table='safety_promptcategory', when='AFTER')),
        ),
        migrations.AddField(
            model_name='promptcategoryevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='promptcategoryevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='safety.promptcategory'),
        ),
        migrations.AddField(
            model_name='promptcategoryoverride',
            name='category',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='safety.promptcategory'),
        ),
        migrations.AddField(
            model_name='ruleoverride',
            name='rule',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='safety.rule'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('name', 'scans')), name='scan_policy_is_one'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('faces__in', ['allow', 'review', 'block'])), name='scan_policy_faces_known'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('intimate__in', ['by_score', 'any_sign', 'everything']), ('likeness__in', ['by_score', 'any_sign', 'everything']), ('violence__in', ['by_score', 'any_sign', 'everything'])), name='scan_policy_levels_known'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='scan_policy_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='scanpolicy',
            trigger=pgtrigger.compiler.Trigger(name='counts_versions', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='NEW.version = OLD.version + 1; NEW.changed_at = clock_timestamp(); RETURN NEW;', hash='b6792d6d5498396d39ed0a24c88dbda131902999', operation='UPDATE', pgid='pgtrigger_counts_versions_8629f', table='safety_scanpolicy', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='scanpolicy',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('frames', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='8ca1718092df886fb39b65e9fa1c23b2636a8bb1', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_4d60e', table='safety_scanpolicy', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='scanpolicy',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_scanpolicyevent" ("author", "changed_at", "faces", "intimate", "likeness", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "version", "violence") VALUES (NEW."author", NEW."changed_at", NEW."faces", NEW."intimate", NEW."likeness", NEW."name", _pgh_attach_context(), NOW(), \'insert\', NEW."name", NEW."reason", NEW."version", NEW."violence"); RETURN NULL;', hash='027981cf950373a4bde117be93b6ee5c0fe7e600', operation='INSERT', pgid='pgtrigger_insert_insert_e27ae', table='safety_scanpolicy', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='scanpolicy',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "safety_scanpolicyevent" ("author", "changed_at", "faces", "intimate", "likeness", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "version", "violence") VALUES (NEW."author", NEW."changed_at", NEW."faces", NEW."intimate", NEW."likeness", NEW."name", _pgh_attach_context(), NOW(), \'update\', NEW."name", NEW."reason", NEW."version", NEW."violence"); RETURN NULL;', hash='dd2991f61fe4eb88f17a427050c45126a9664db9', operation='UPDATE', pgid='pgtrigger_update_update_fdab5', table='safety_scanpolicy', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='scanpolicy',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_scanpolicyevent" ("author", "changed_at", "faces", "intimate", "likeness", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "version", "violence") VALUES (OLD."author", OLD."changed_at", OLD."faces", OLD."intimate", OLD."likeness", OLD."name", _pgh_attach_context(), NOW(), \'delete\', OLD."name", OLD."reason", OLD."version", OLD."violence"); RETURN NULL;', hash='7602300400e57affc8c491c5e0e18b9fbb212f64', operation='DELETE', pgid='pgtrigger_delete_delete_32cf7', table='safety_scanpolicy', when='AFTER')),
        ),
        migrations.AddField(
            model_name='scanpolicyevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='scanpolicyevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='safety.scanpolicy'),
        ),
        migrations.AddField(
            model_name='scanpolicyoverride',
            name='policy',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='safety.scanpolicy'),
        ),
        migrations.AddConstraint(
            model_name='goldenfinding',
            constraint=models.UniqueConstraint(fields=('case', 'gate', 'frame_class'), name='golden_finding_once'),
        ),
        migrations.AddConstraint(
            model_name='goldenreading',
            constraint=models.UniqueConstraint(fields=('case', 'kind'), name='golden_reading_once'),
        ),
        migrations.AddIndex(
            model_name='likenessthresholdoverride',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['threshold'], name='likeness_override_standing'),
        ),
        migrations.AddConstraint(
            model_name='likenessthresholdoverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='likenessthresholdoverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='likenessthresholdoverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='likenessthresholdoverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='likenessthresholdoverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='likenessthresholdoverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='likenessthresholdoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='likenessthresholdoverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='likenessthresholdoverride',
            constraint=models.CheckConstraint(condition=models.Q(('field__in', ['block_score', 'review_score'])), name='likeness_override_field_known'),
        ),
        migrations.AddConstraint(
            model_name='likenessthresholdoverride',
            constraint=models.CheckConstraint(condition=models.Q(('value__gt', 0), ('value__lte', 1)), name='likeness_override_is_a_share'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likenessthresholdoverride',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('frames', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='64070e53aee405f6542f83cead1bb6c3e58a9423', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_0e65f', table='safety_likenessthresholdoverride', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='promptcategoryoverride',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['category'], name='category_override_standing'),
        ),
        migrations.AddConstraint(
            model_name='promptcategoryoverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='promptcategoryoverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='promptcategoryoverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='promptcategoryoverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='promptcategoryoverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='promptcategoryoverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='promptcategoryoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='promptcategoryoverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='promptcategoryoverride',
            constraint=models.CheckConstraint(condition=models.Q(('field__in', ['clip_suspended', 'code_suspended']), ('value__in', [True, False])), name='category_override_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='promptcategoryoverride',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('text', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='84fb12ed03881844618ce9685186c0493372568c', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_e4cdb', table='safety_promptcategoryoverride', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='ruleoverride',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['rule'], name='rule_override_standing'),
        ),
        migrations.AddConstraint(
            model_name='ruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='ruleoverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='ruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='ruleoverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='ruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='ruleoverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='ruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='ruleoverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='ruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('field', 'live'), ('value__in', [True, False])), name='rule_override_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='ruleoverride',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('text', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='89328d58df3c667d53fccd99396b305e7fa484ce', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_f0c92', table='safety_ruleoverride', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='scanpolicyoverride',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['policy'], name='scan_policy_override_standing'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicyoverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='scanpolicyoverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicyoverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='scanpolicyoverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicyoverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='scanpolicyoverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicyoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='scanpolicyoverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='scanpolicyoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('field', 'faces'), ('value__in', ['allow', 'review', 'block'])), models.Q(('field__in', ['likeness', 'intimate', 'violence']), ('value__in', ['by_score', 'any_sign', 'everything'])), _connector='OR'), name='scan_policy_override_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='scanpolicyoverride',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('frames', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='d1bb30904392f924f1e1b3b0b11a0ee26f9004b8', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_e8d59', table='safety_scanpolicyoverride', when='AFTER')),
        ),
        ]),
        migrations.RunPython(plant, migrations.RunPython.noop),
    ]
