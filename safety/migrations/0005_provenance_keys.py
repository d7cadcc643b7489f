"""Signer keys as rows, and credentials of pictures that were made from a scanned file."""

import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from accounts.together import Together


class Migration(migrations.Migration):

    dependencies = [("safety", "0004_frame_gates")]

    operations = [
        migrations.CreateModel(
            name='SignerKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(choices=[('file', 'Files in a folder'), ('environment', 'Environment variables'), ('callback', 'A callback (KMS or HSM)')], max_length=12)),
                ('location', models.CharField(max_length=300)),
                ('certificates', models.TextField()),
                ('anchors', models.TextField()),
                ('fingerprint', models.CharField(max_length=64, unique=True)),
                ('subject', models.CharField(max_length=300)),
                ('not_before', models.DateTimeField()),
                ('not_after', models.DateTimeField()),
                ('development', models.BooleanField()),
                ('state', models.CharField(choices=[('active', 'Active'), ('retiring', 'Retiring'), ('retired', 'Retired')], default='active', max_length=8)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('retiring_at', models.DateTimeField(null=True)),
                ('retired_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='credential',
            name='credential_digests_are_sha256',
        ),
        Together([
        migrations.AddField(
            model_name='credential',
            name='scanned_digest',
            field=models.CharField(max_length=64, null=True),
        ),
        migrations.AddConstraint(
            model_name='credential',
            constraint=models.CheckConstraint(condition=models.Q(('signed_digest__regex', '^[0-9a-f]{64}$'), ('unsigned_digest__regex', '^[0-9a-f]{64}$'), ('signer_fingerprint__regex', '^[0-9a-f]{64}$'), models.Q(('scanned_digest__isnull', True), ('scanned_digest__regex', '^[0-9a-f]{64}$'), _connector='OR')), name='credential_digests_are_sha256'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('state',), name='signer_key_one_active'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.CheckConstraint(condition=models.Q(('source__in', ['file', 'environment', 'callback'])), name='signer_key_source_known'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['active', 'retiring', 'retired'])), name='signer_key_state_known'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('retired_at', None), ('retiring_at', None), ('state', 'active')), models.Q(('retired_at', None), ('retiring_at__isnull', False), ('state', 'retiring')), models.Q(('retired_at__isnull', False), ('state', 'retired')), _connector='OR'), name='signer_key_state_dated'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.CheckConstraint(condition=models.Q(('fingerprint__regex', '^[0-9a-f]{64}$')), name='signer_key_fingerprint_is_sha256'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.CheckConstraint(condition=models.Q(('anchors__contains', 'BEGIN CERTIFICATE'), ('certificates__contains', 'BEGIN CERTIFICATE')), name='signer_key_chain_kept'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.CheckConstraint(condition=models.Q(('not_after__gt', models.F('not_before'))), name='signer_key_lives'),
        ),
        migrations.AddConstraint(
            model_name='signerkey',
            constraint=models.CheckConstraint(condition=models.Q(('author__regex', '\\S'), ('location__regex', '\\S'), ('reason__regex', '\\S')), name='signer_key_explained'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='signerkey',
            trigger=pgtrigger.compiler.Trigger(name='keys_are_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='dbc9fc873a40192182cbb4ae8a42d31cf2dc1b84', operation='DELETE', pgid='pgtrigger_keys_are_kept_dbc06', table='safety_signerkey', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='signerkey',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'signer keys are kept: their anchors hold up delivered clips';", hash='43a9ab3d5f1f4a2d1ab9e7e6e8cf293634f0552e', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_8de08', table='safety_signerkey', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='signerkey',
            trigger=pgtrigger.compiler.Trigger(name='only_the_state_changes', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n                    IF (NEW.source, NEW.location, NEW.certificates, NEW.anchors, NEW.fingerprint, NEW.subject,\n                        NEW.not_before, NEW.not_after, NEW.development, NEW.author, NEW.reason, NEW.created_at)\n                       IS DISTINCT FROM\n                       (OLD.source, OLD.location, OLD.certificates, OLD.anchors, OLD.fingerprint, OLD.subject,\n                        OLD.not_before, OLD.not_after, OLD.development, OLD.author, OLD.reason, OLD.created_at)\n                    THEN\n                        RAISE EXCEPTION 'signer key %: only its state changes', OLD.id\n                        USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (\n                        ('active', 'retiring'), ('active', 'retired'), ('retiring', 'active'), ('retiring', 'retired')\n                    ) THEN\n                        RAISE EXCEPTION 'signer key %: % does not go to %', OLD.id, OLD.state, NEW.state\n                        USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='81cd2f01d0df5c423171eb426ce5ae450113d5c5', operation='UPDATE', pgid='pgtrigger_only_the_state_changes_dbb41', table='safety_signerkey', when='BEFORE')),
        ),
        ]),
    ]
