"""Crops of listed pictures, registered likenesses, and scans of pictures that clips begin from."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from accounts.together import Together


class Migration(migrations.Migration):

    dependencies = [
        ('safety', '0003_text_stages'),
    ]

    operations = [
        migrations.CreateModel(
            name='HashVariant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('pdq', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='Likeness',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('private_person', 'Private person'), ('public_figure', 'Public figure'), ('politician', 'Politician')], max_length=16)),
                ('embedder', models.CharField(max_length=80)),
                ('embedding', models.BinaryField()),
                ('source', models.CharField(max_length=80)),
                ('author', models.CharField(max_length=254)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'likenesses',
            },
        ),
        migrations.CreateModel(
            name='LikenessEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('name', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('private_person', 'Private person'), ('public_figure', 'Public figure'), ('politician', 'Politician')], max_length=16)),
                ('embedder', models.CharField(max_length=80)),
                ('embedding', models.BinaryField()),
                ('source', models.CharField(max_length=80)),
                ('author', models.CharField(max_length=254)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.RemoveConstraint(
            model_name='scan',
            name='scan_purpose_known',
        ),
        migrations.AlterField(
            model_name='scan',
            name='purpose',
            field=models.CharField(choices=[('final', 'Final'), ('preview', 'Preview'), ('input', 'Input picture')], max_length=8),
        ),
        Together([
        pgtrigger.migrations.AddTrigger(
            model_name='hashentry',
            trigger=pgtrigger.compiler.Trigger(name='bumps_hashes', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('hashes', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='b943169f3eb202fd7d18a2cf6b79b1e6ac5f609d', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_hashes_d2b63', table='safety_hashentry', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='scan',
            constraint=models.CheckConstraint(condition=models.Q(('purpose__in', ['final', 'preview', 'input'])), name='scan_purpose_known'),
        ),
        migrations.AddField(
            model_name='hashvariant',
            name='entry',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='variants', to='safety.hashentry'),
        ),
        migrations.AddIndex(
            model_name='likeness',
            index=models.Index(fields=['embedder'], name='likeness_of_embedder'),
        ),
        migrations.AddConstraint(
            model_name='likeness',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['private_person', 'public_figure', 'politician'])), name='likeness_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='likeness',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '\\S')), name='likeness_is_named'),
        ),
        migrations.AddConstraint(
            model_name='likeness',
            constraint=models.CheckConstraint(condition=models.Q(('source__regex', '\\S')), name='likeness_source_named'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likeness',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('frames', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='b9799d47bff1553449b9ff98e1c01ff415d9023c', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_2be35', table='safety_likeness', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likeness',
            trigger=pgtrigger.compiler.Trigger(name='bumps_likenesses', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('likenesses', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='9a0896fbcfbf56d618f0d5cd3659ed37bb0468ae', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_likenesses_b2519', table='safety_likeness', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likeness',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_likenessevent" ("author", "created_at", "embedder", "embedding", "id", "kind", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "source") VALUES (NEW."author", NEW."created_at", NEW."embedder", NEW."embedding", NEW."id", NEW."kind", NEW."name", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."source"); RETURN NULL;', hash='24a22fca34d4c84ff23f86110e78ae3eb9baf775', operation='INSERT', pgid='pgtrigger_insert_insert_5110d', table='safety_likeness', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likeness',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "safety_likenessevent" ("author", "created_at", "embedder", "embedding", "id", "kind", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "source") VALUES (NEW."author", NEW."created_at", NEW."embedder", NEW."embedding", NEW."id", NEW."kind", NEW."name", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."source"); RETURN NULL;', hash='4a668a0b74fde244a22cce696b1f39677f1d455a', operation='UPDATE', pgid='pgtrigger_update_update_15195', table='safety_likeness', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='likeness',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_likenessevent" ("author", "created_at", "embedder", "embedding", "id", "kind", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "source") VALUES (OLD."author", OLD."created_at", OLD."embedder", OLD."embedding", OLD."id", OLD."kind", OLD."name", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."source"); RETURN NULL;', hash='87ff34c685fa88408b307256b4f437aeb75f704e', operation='DELETE', pgid='pgtrigger_delete_delete_42e9a', table='safety_likeness', when='AFTER')),
        ),
        migrations.AddField(
            model_name='likenessevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='likenessevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='safety.likeness'),
        ),
        migrations.AddConstraint(
            model_name='hashvariant',
            constraint=models.UniqueConstraint(fields=('entry', 'name'), name='hash_variant_once'),
        ),
        migrations.AddConstraint(
            model_name='hashvariant',
            constraint=models.CheckConstraint(condition=models.Q(('pdq__regex', '^[0-9a-f]{64}$')), name='hash_variant_is_pdq'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hashvariant',
            trigger=pgtrigger.compiler.Trigger(name='bumps_policy', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('frames', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='3cfaa371bcf98a591e0da1cc6a1ff65133d4d11d', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_policy_a290b', table='safety_hashvariant', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hashvariant',
            trigger=pgtrigger.compiler.Trigger(name='bumps_hashes', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('hashes', 1,\n            clock_timestamp()) ON CONFLICT (name) DO UPDATE\n            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();\n            RETURN NULL;\n        ", hash='f1a67241af7812d00a746971e8e3001f9a901e06', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_bumps_hashes_e0a8a', table='safety_hashvariant', when='AFTER')),
        ),
        ]),
    ]
