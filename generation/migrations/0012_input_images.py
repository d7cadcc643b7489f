"""The pictures that clips begin from, what an early block saved, and a screening that may end."""

import django.db.models.deletion
from django.db import migrations, models

from accounts.together import Together

GUARDS = r"""
-- A job that begins from a picture waits in screening, and is queued only by a passed scan of exactly that picture.
CREATE FUNCTION generation_input_is_screened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.spec->>'image' IS DISTINCT FROM OLD.spec->>'image' THEN
    RAISE EXCEPTION 'job %: its picture cannot change', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.spec->>'image' IS NULL THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'screening' THEN
      RAISE EXCEPTION 'job % begins from a picture: it is screened first', NEW.id USING ERRCODE = 'check_violation';
    END IF;
  ELSIF OLD.state = 'screening' AND NEW.state = 'queued' AND NOT EXISTS (
    SELECT 1 FROM generation_inputimage i JOIN safety_scan s ON s.digest = i.digest
     WHERE i.job_id = NEW.id AND i.digest = NEW.spec->>'image' AND s.purpose = 'input' AND s.verdict = 'pass'
       AND s.subject = NEW.id::text AND s.fence = i.fence
  ) THEN
    RAISE EXCEPTION 'job %: no scan of its picture has passed', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER job_input_is_screened BEFORE INSERT OR UPDATE OF state, spec ON generation_job
  FOR EACH ROW EXECUTE FUNCTION generation_input_is_screened();

CREATE FUNCTION generation_input_image_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT 1 FROM generation_job WHERE id = NEW.job_id AND spec->>'image' = NEW.digest) THEN
      RAISE EXCEPTION 'job % does not begin from this picture', NEW.job_id USING ERRCODE = 'check_violation';
    END IF;
  ELSIF (NEW.job_id, NEW.path, NEW.digest, NEW.sent_digest, NEW.bytes)
     IS DISTINCT FROM (OLD.job_id, OLD.path, OLD.digest, OLD.sent_digest, OLD.bytes) OR NEW.fence < OLD.fence THEN
    RAISE EXCEPTION 'the picture of job % cannot change', OLD.job_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER input_image_fixed BEFORE INSERT OR UPDATE ON generation_inputimage
  FOR EACH ROW EXECUTE FUNCTION generation_input_image_fixed();

-- A screening may also be cancelled, or fail where nobody can check the picture. Written into the function as it
-- stands, so that what else it says is kept.
DO $do$
DECLARE
  before text := pg_get_functiondef('generation_job_before'::regproc);
  after text := replace(before, '(''screening'', ''blocked''),',
    '(''screening'', ''blocked''), (''screening'', ''cancelled''), (''screening'', ''failed''),');
BEGIN
  IF after = before THEN
    RAISE EXCEPTION 'generation_job_before has no place for the ways out of screening';
  END IF;
  EXECUTE after;
END $do$;
"""
UNGUARD = r"""
DO $do$
BEGIN
  EXECUTE replace(pg_get_functiondef('generation_job_before'::regproc),
    ' (''screening'', ''cancelled''), (''screening'', ''failed''),', '');
END $do$;
DROP TRIGGER input_image_fixed ON generation_inputimage;
DROP FUNCTION generation_input_image_fixed();
DROP TRIGGER job_input_is_screened ON generation_job;
DROP FUNCTION generation_input_is_screened();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('generation', '0011_fenced_writes'),
        ('safety', '0004_frame_gates'),
    ]

    operations = [
        Together([
        migrations.AddField(
            model_name='attempt',
            name='saved_gpu_ms',
            field=models.BigIntegerField(db_default=0),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('saved_gpu_ms__gt', 0)), fields=['ended_at'], name='attempt_saved'),
        ),
        ]),
        migrations.CreateModel(
            name='InputImage',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='input_image', serialize=False, to='generation.job')),
                ('path', models.CharField(max_length=200, unique=True)),
                ('digest', models.CharField(max_length=64)),
                ('sent_digest', models.CharField(max_length=64)),
                ('bytes', models.BigIntegerField()),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('fence', models.BigIntegerField(default=0)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('removed_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('removed_at', None)), fields=['job'], name='input_image_kept')],
                'constraints': [models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$'), ('sent_digest__regex', '^[0-9a-f]{64}$')), name='input_image_digests_are_sha256')],
            },
        ),
        migrations.RunSQL(GUARDS, UNGUARD),
    ]
