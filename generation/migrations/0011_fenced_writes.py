"""What an attempt writes is refused once its fence is old, whoever asks; what corrections gave back is kept."""

from django.db import migrations, models

from accounts.together import Together

GUARDS = """
CREATE FUNCTION generation_only_under_the_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The lock makes it wait for a claim under way, which raises the fence.
  PERFORM 1 FROM generation_job WHERE id = NEW.job_id AND fence = NEW.fence FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'fence % of job % is not the one in force: nothing may be written under it', NEW.fence, NEW.job_id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER asset_under_the_fence BEFORE INSERT ON generation_asset
  FOR EACH ROW EXECUTE FUNCTION generation_only_under_the_fence();
CREATE TRIGGER segment_under_the_fence BEFORE INSERT ON generation_tokensegment
  FOR EACH ROW EXECUTE FUNCTION generation_only_under_the_fence();

CREATE FUNCTION generation_attempt_keeps_its_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.job_id, NEW.fence, NEW.charged_gpu_ms, NEW.charged_weight)
     IS DISTINCT FROM (OLD.job_id, OLD.fence, OLD.charged_gpu_ms, OLD.charged_weight)
     OR OLD.corrected AND NOT NEW.corrected THEN
    RAISE EXCEPTION 'attempt %: its job, its fence and what its claim charged are fixed', OLD.fence
      USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.ended_at IS NOT NULL AND (NEW.ended_at, NEW.outcome, NEW.step, NEW.stage, NEW.checkpoints, NEW.preview,
      NEW.gpu_ms, NEW.lease_expires_at) IS DISTINCT FROM (OLD.ended_at, OLD.outcome, OLD.step, OLD.stage,
      OLD.checkpoints, OLD.preview, OLD.gpu_ms, OLD.lease_expires_at) THEN
    RAISE EXCEPTION 'attempt % has ended: nothing may be written under it', OLD.fence USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.lease_expires_at <= clock_timestamp() AND NEW.lease_expires_at > OLD.lease_expires_at THEN
    RAISE EXCEPTION 'the lease of attempt % ran out: it cannot be renewed', OLD.fence USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER attempt_keeps_its_end BEFORE UPDATE ON generation_attempt
  FOR EACH ROW EXECUTE FUNCTION generation_attempt_keeps_its_end();
"""
UNGUARD = """
DROP TRIGGER attempt_keeps_its_end ON generation_attempt;
DROP FUNCTION generation_attempt_keeps_its_end();
DROP TRIGGER segment_under_the_fence ON generation_tokensegment;
DROP TRIGGER asset_under_the_fence ON generation_asset;
DROP FUNCTION generation_only_under_the_fence();
"""


class Migration(migrations.Migration):
    dependencies = [("generation", "0010_repeats_and_routes")]
    operations = [
        Together([
        migrations.AddField("lane", "owed", models.FloatField(db_default=0.0)),
        migrations.AddField("laneorganization", "owed", models.FloatField(db_default=0.0)),
        ]),
        migrations.RunSQL(GUARDS, UNGUARD),
    ]
