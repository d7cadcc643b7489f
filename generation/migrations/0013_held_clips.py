"""Clips that wait for the signer, and files whose credentials are read again: what holds for them, whoever writes."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from accounts.together import Together

GUARDS = """
-- No file is one that may be delivered unless it was signed, reads as Trusted, and comes from a scan that lets out.
CREATE FUNCTION generation_asset_scanned_and_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM safety_credential c
      JOIN safety_scan s ON s.digest = coalesce(c.scanned_digest, c.unsigned_digest)
       AND s.subject = NEW.job_id::text AND s.fence = NEW.fence AND safety_scan_lets_out(s)
     WHERE c.signed_digest = NEW.digest AND c.state = 'Trusted'
       AND c.subject = NEW.job_id::text AND c.fence = NEW.fence
       AND (NEW.role <> 'video' OR c.scanned_digest IS NULL)
  ) THEN
    RAISE EXCEPTION 'asset % of job %: no scan that passed and Trusted credentials line up with its digest',
      NEW.role, NEW.job_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
-- By its name it fires after the one that asks for the fence.
CREATE TRIGGER asset_was_scanned_and_signed BEFORE INSERT ON generation_asset
  FOR EACH ROW EXECUTE FUNCTION generation_asset_scanned_and_signed();

-- A file whose credentials no longer hold is delivered by nobody, a repeat of its clip included.
CREATE FUNCTION generation_job_not_quarantined() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM generation_asset a JOIN generation_job j ON j.id = a.job_id AND j.fence = a.fence
     WHERE a.job_id = coalesce(NEW.repeat_of_id, NEW.id) AND a.role = 'video' AND a.quarantined_at IS NOT NULL
  ) THEN
    RAISE EXCEPTION 'job %: its file is in quarantine', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER job_ab_not_quarantined BEFORE UPDATE ON generation_job FOR EACH ROW
  WHEN (NEW.state = 'delivered' AND OLD.state <> 'delivered' AND NEW.kind = 'clip')
  EXECUTE FUNCTION generation_job_not_quarantined();
"""
UNGUARD = """
DROP TRIGGER job_ab_not_quarantined ON generation_job;
DROP FUNCTION generation_job_not_quarantined();
DROP TRIGGER asset_was_scanned_and_signed ON generation_asset;
DROP FUNCTION generation_asset_scanned_and_signed();
"""


class Migration(migrations.Migration):

    dependencies = [("generation", "0012_input_images"), ("safety", "0005_provenance_keys")]

    operations = [
        migrations.CreateModel(
            name='SigningOutage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('began_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('tries', models.PositiveIntegerField(default=0)),
                ('next_try_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('last_error', models.TextField()),
                ('delivered', models.PositiveIntegerField(default=0)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='UnsignedClip',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fence', models.BigIntegerField()),
                ('path', models.CharField(max_length=300, unique=True)),
                ('digest', models.CharField(max_length=64)),
                ('bytes', models.BigIntegerField()),
                ('kept_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('removed_at', models.DateTimeField(null=True)),
            ],
        ),
        Together([
        migrations.AddField(
            model_name='asset',
            name='quarantined_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='asset',
            name='verified_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='asset',
            name='verified_state',
            field=models.CharField(db_default='', default='', max_length=40),
        ),
        migrations.AddIndex(
            model_name='asset',
            index=models.Index(models.OrderBy(models.F('verified_at'), nulls_first=True), models.F('id'), condition=models.Q(('removed_at', None)), name='asset_to_verify'),
        ),
        migrations.AddConstraint(
            model_name='asset',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ('video', 'thumbnail', 'spritesheet'))), name='asset_role_known'),
        ),
        migrations.AddConstraint(
            model_name='signingoutage',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('ended_at',), name='one_signing_outage_at_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='signingoutage',
            constraint=models.CheckConstraint(condition=models.Q(('ended_at', None), ('ended_at__gte', models.F('began_at')), _connector='OR'), name='signing_outage_ends_after_it_began'),
        ),
        migrations.AddField(
            model_name='unsignedclip',
            name='job',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='unsigned_clips', to='generation.job'),
        ),
        migrations.AddIndex(
            model_name='unsignedclip',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['kept_at'], name='unsigned_clip_kept'),
        ),
        migrations.AddConstraint(
            model_name='unsignedclip',
            constraint=models.UniqueConstraint(fields=('job', 'fence'), name='one_unsigned_clip_per_fence'),
        ),
        migrations.AddConstraint(
            model_name='unsignedclip',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='unsigned_clip_digest_is_sha256'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='unsignedclip',
            trigger=pgtrigger.compiler.Trigger(name='unsigned_clip_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."job_id" IS DISTINCT FROM (NEW."job_id") OR OLD."fence" IS DISTINCT FROM (NEW."fence") OR OLD."path" IS DISTINCT FROM (NEW."path") OR OLD."digest" IS DISTINCT FROM (NEW."digest") OR OLD."bytes" IS DISTINCT FROM (NEW."bytes") OR OLD."kept_at" IS DISTINCT FROM (NEW."kept_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='0323fb73f298e46e6c93e9996e12e8c8053f20d6', operation='UPDATE', pgid='pgtrigger_unsigned_clip_is_fixed_1fb08', table='generation_unsignedclip', when='BEFORE')),
        ),
        ]),
        migrations.RunSQL(GUARDS, UNGUARD),
    ]
