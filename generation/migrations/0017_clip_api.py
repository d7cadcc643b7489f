"""Clips made from clips, and files that are kept for a time: parents, expiry, and what is to be deleted."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

GUARDS = r"""
-- A clip is made from a delivered clip of its own organization; an extension, from one whose file may be delivered now.
CREATE FUNCTION generation_parent_stands() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  parent generation_job;
BEGIN
  SELECT * INTO parent FROM generation_job WHERE id = NEW.parent_id FOR SHARE;
  IF parent.organization_id <> NEW.organization_id OR parent.kind <> 'clip' OR parent.id = NEW.id THEN
    RAISE EXCEPTION 'job % is made from %, which is no clip of its organization', NEW.id, NEW.parent_id
      USING ERRCODE = 'check_violation';
  END IF;
  IF parent.state <> 'delivered' OR parent.deleted_at IS NOT NULL THEN
    RAISE EXCEPTION 'job % is made from %, which is not delivered now', NEW.id, parent.id
      USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.parent_relation = 'extension' AND (NEW.spec->>'image' IS NULL OR parent.expires_at <= clock_timestamp()
     OR NOT EXISTS (
       SELECT 1 FROM generation_asset a JOIN generation_job s ON s.id = a.job_id
        WHERE a.job_id = coalesce(parent.repeat_of_id, parent.id) AND a.role = 'video' AND a.removed_at IS NULL
          AND a.withheld_at IS NULL AND a.quarantined_at IS NULL
          AND s.state = 'delivered' AND s.deleted_at IS NULL)) THEN
    RAISE EXCEPTION 'job % extends %, whose file may not be delivered now', NEW.id, parent.id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER job_parent_stands BEFORE INSERT ON generation_job FOR EACH ROW
  WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION generation_parent_stands();

CREATE FUNCTION generation_origin_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'job %: what it was made from, and an end of its files that came, cannot change', OLD.id
    USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER job_origin_is_fixed BEFORE UPDATE OF parent_id, parent_relation, files_removed_at ON generation_job
  FOR EACH ROW WHEN ((NEW.parent_id, NEW.parent_relation) IS DISTINCT FROM (OLD.parent_id, OLD.parent_relation)
                     OR OLD.files_removed_at IS NOT NULL AND NEW.files_removed_at IS DISTINCT FROM OLD.files_removed_at)
  EXECUTE FUNCTION generation_origin_is_fixed();

-- Files go only where nobody looks at them, and what was given up is not served again.
CREATE FUNCTION generation_removal_is_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM generation_asset WHERE job_id = NEW.job_id AND withheld_at IS NOT NULL AND removed_at IS NULL)
     OR NOT EXISTS (
       SELECT 1 FROM generation_job WHERE id = NEW.job_id
          AND state IN ('delivered', 'withdrawn', 'blocked', 'cancelled', 'failed')
          AND (NEW.cause = 'deleted' AND deleted_at IS NOT NULL
               OR NEW.cause = 'expired' AND state = 'delivered' AND expires_at <= clock_timestamp())) THEN
    RAISE EXCEPTION 'the files of job % are not to go now', NEW.job_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER file_removal_is_due BEFORE INSERT ON generation_fileremoval
  FOR EACH ROW EXECUTE FUNCTION generation_removal_is_due();
CREATE FUNCTION generation_removal_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the removal of the files of job % stays as it was written', OLD.job_id
    USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER file_removal_no_delete BEFORE DELETE ON generation_fileremoval
  FOR EACH ROW EXECUTE FUNCTION generation_removal_stays();
CREATE TRIGGER file_removal_is_fixed BEFORE UPDATE ON generation_fileremoval FOR EACH ROW
  WHEN ((NEW.job_id, NEW.cause, NEW.files, NEW.at) IS DISTINCT FROM (OLD.job_id, OLD.cause, OLD.files, OLD.at)
        OR OLD.done_at IS NOT NULL)
  EXECUTE FUNCTION generation_removal_stays();
"""
UNGUARD = """
DROP TRIGGER file_removal_is_fixed ON generation_fileremoval;
DROP TRIGGER file_removal_no_delete ON generation_fileremoval;
DROP FUNCTION generation_removal_stays();
DROP TRIGGER file_removal_is_due ON generation_fileremoval;
DROP FUNCTION generation_removal_is_due();
DROP TRIGGER job_origin_is_fixed ON generation_job;
DROP FUNCTION generation_origin_is_fixed();
DROP TRIGGER job_parent_stands ON generation_job;
DROP FUNCTION generation_parent_stands();
"""
# Days after delivery; a later change is an operator's.
SHIPPED = {"free": 7, "plus": 30, "pro": 90, "enterprise": 365}


def ship(apps, schema_editor):
    rows = apps.get_model("generation", "FileRetention").objects
    for tier in apps.get_model("accounts", "Tier").objects.filter(slug__in=SHIPPED):
        rows.create(tier=tier, days=SHIPPED[tier.slug], author="shipped", reason="as shipped")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_tiers"),
        ("generation", "0016_evaluations"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        migrations.CreateModel(
            name='FileRemoval',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='file_removal', serialize=False, to='generation.job')),
                ('cause', models.CharField(choices=[('deleted', 'Deleted by its owner'), ('expired', 'Kept as long as promised')], max_length=8)),
                ('files', models.JSONField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('done_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='FileRetention',
            fields=[
                ('tier', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='accounts.tier')),
                ('days', models.PositiveSmallIntegerField(null=True)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='FileRetentionEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('days', models.PositiveSmallIntegerField(null=True)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='job',
            name='expires_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='files_removed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='parent',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='generation.job'),
        ),
        migrations.AddField(
            model_name='job',
            name='parent_relation',
            field=models.CharField(blank=True, choices=[('remix', 'Remix'), ('extension', 'Extension')], db_default='', default='', max_length=10),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('parent__isnull', False)), fields=['parent', 'created_at'], name='job_children'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('expires_at__isnull', False), ('files_removed_at', None)), fields=['expires_at'], name='job_files_due'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('parent', None), ('parent_relation', '')), models.Q(('kind', 'clip'), ('parent__isnull', False), ('parent_relation__in', ['remix', 'extension'])), _connector='OR'), name='job_parent_has_its_relation'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at', None), models.Q(('expires_at__gt', models.F('finished_at')), ('kind', 'clip')), _connector='OR'), name='job_expires_after_its_end'),
        ),
        migrations.AddIndex(
            model_name='fileremoval',
            index=models.Index(condition=models.Q(('done_at', None)), fields=['at'], name='file_removal_pending'),
        ),
        migrations.AddConstraint(
            model_name='fileremoval',
            constraint=models.CheckConstraint(condition=models.Q(('cause__in', ['deleted', 'expired'])), name='file_removal_cause_known'),
        ),
        migrations.AddConstraint(
            model_name='fileretention',
            constraint=models.CheckConstraint(condition=models.Q(('days', None), models.Q(('days__gte', 1), ('days__lte', 3650)), _connector='OR'), name='file_retention_days_sane'),
        ),
        migrations.AddConstraint(
            model_name='fileretention',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='file_retention_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='fileretention',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "generation_fileretentionevent" ("author", "days", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "tier_id") VALUES (NEW."author", NEW."days", _pgh_attach_context(), NOW(), \'insert\', NEW."tier_id", NEW."reason", NEW."tier_id"); RETURN NULL;', hash='1bf8db4525e76463409a45b742ca90e22c9aaa05', operation='INSERT', pgid='pgtrigger_insert_insert_92750', table='generation_fileretention', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='fileretention',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "generation_fileretentionevent" ("author", "days", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "tier_id") VALUES (NEW."author", NEW."days", _pgh_attach_context(), NOW(), \'update\', NEW."tier_id", NEW."reason", NEW."tier_id"); RETURN NULL;', hash='a5c22b47fdf983f9df5e121d5809caae84c2f600', operation='UPDATE', pgid='pgtrigger_update_update_823af', table='generation_fileretention', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='fileretention',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "generation_fileretentionevent" ("author", "days", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "tier_id") VALUES (OLD."author", OLD."days", _pgh_attach_context(), NOW(), \'delete\', OLD."tier_id", OLD."reason", OLD."tier_id"); RETURN NULL;', hash='64373c48b36db86aa8d0bacb95f0afea64504586', operation='DELETE', pgid='pgtrigger_delete_delete_6a695', table='generation_fileretention', when='AFTER')),
        ),
        migrations.AddField(
            model_name='fileretentionevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='fileretentionevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='generation.fileretention'),
        ),
        migrations.AddField(
            model_name='fileretentionevent',
            name='tier',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', serialize=False, to='accounts.tier'),
        ),
        migrations.RunSQL(GUARDS, UNGUARD),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
