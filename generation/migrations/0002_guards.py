"""The rules that the database itself keeps: transitions, their event rows, the waiting counts, and what may be delivered."""

from django.db import migrations

GUARDS = """
CREATE SEQUENCE generation_fence;

CREATE FUNCTION generation_assert_deliverable(job generation_job) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF job.kind <> 'clip' THEN
    RETURN;
  END IF;
  IF job.steps_run <> job.steps THEN
    RAISE EXCEPTION 'job % ran % of % steps and cannot be delivered', job.id, job.steps_run, job.steps
      USING ERRCODE = 'check_violation';
  END IF;
  -- The bytes that are delivered are the bytes that were signed, and those are the bytes that were scanned.
  IF NOT EXISTS (
    SELECT 1 FROM generation_asset a
      JOIN safety_credential c ON c.signed_digest = a.digest AND c.state = 'Trusted'
       AND c.subject = job.id::text AND c.fence = job.fence
      JOIN safety_scan s ON s.digest = c.unsigned_digest AND s.verdict = 'pass' AND s.purpose = 'final'
       AND s.subject = job.id::text AND s.fence = job.fence
     WHERE a.job_id = job.id AND a.fence = job.fence AND a.role = 'video' AND a.removed_at IS NULL
  ) THEN
    RAISE EXCEPTION 'job % has no file whose scan, digest and Trusted credentials line up', job.id
      USING ERRCODE = 'check_violation';
  END IF;
END $$;

CREATE FUNCTION generation_job_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state NOT IN ('screening', 'queued') THEN
      RAISE EXCEPTION 'a job begins screening or queued, not %', NEW.state USING ERRCODE = 'check_violation';
    END IF;
    NEW.state_at := clock_timestamp();
    RETURN NEW;
  END IF;
  IF (NEW.organization_id, NEW.hold_id, NEW.decision_id, NEW.spec_hash, NEW.steps, NEW.seed, NEW.quote_micro,
      NEW.units_micro, NEW.lane_id, NEW.model_id, NEW.prompt)
     IS DISTINCT FROM
     (OLD.organization_id, OLD.hold_id, OLD.decision_id, OLD.spec_hash, OLD.steps, OLD.seed, OLD.quote_micro,
      OLD.units_micro, OLD.lane_id, OLD.model_id, OLD.prompt) THEN
    RAISE EXCEPTION 'job %: what was asked, quoted and held cannot change', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.fence < OLD.fence THEN
    RAISE EXCEPTION 'job %: the fence only rises', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.state IS DISTINCT FROM OLD.state THEN
    IF (OLD.state, NEW.state) NOT IN (
      ('screening', 'queued'), ('screening', 'blocked'),
      ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'failed'),
      ('running', 'queued'), ('running', 'finishing'), ('running', 'cancelled'), ('running', 'blocked'),
      ('running', 'failed'),
      ('finishing', 'delivered'), ('finishing', 'review'), ('finishing', 'held'), ('finishing', 'blocked'),
      ('finishing', 'failed'),
      ('held', 'delivered'), ('held', 'failed'),
      ('review', 'delivered'), ('review', 'blocked'),
      ('delivered', 'withdrawn')
    ) THEN
      RAISE EXCEPTION 'job %: % does not go to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state_cause !~ '\\S' THEN
      RAISE EXCEPTION 'job %: a change of state needs its cause', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state = 'delivered' THEN
      PERFORM generation_assert_deliverable(NEW);
    END IF;
    NEW.state_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION generation_job_after() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before text := CASE WHEN TG_OP = 'UPDATE' THEN OLD.state ELSE '' END;
  waits integer := (NEW.state = 'queued')::int - (before = 'queued')::int;
  runs integer := (NEW.state IN ('running', 'finishing'))::int - (before IN ('running', 'finishing'))::int;
BEGIN
  IF before = NEW.state THEN
    RETURN NULL;
  END IF;
  INSERT INTO generation_jobevent (job_id, at, from_state, to_state, cause, fence)
    VALUES (NEW.id, NEW.state_at, before, NEW.state, NEW.state_cause, NEW.fence);
  IF waits <> 0 OR runs <> 0 THEN
    -- Update first: an insert that conflicts would check its own, negative, counts.
    UPDATE generation_laneorganization SET waiting = waiting + waits, running = running + runs
     WHERE lane_id = NEW.lane_id AND organization_id = NEW.organization_id;
    IF NOT FOUND THEN
      INSERT INTO generation_laneorganization (lane_id, organization_id, tag, waiting, running)
        VALUES (NEW.lane_id, NEW.organization_id, 0, waits, runs)
        ON CONFLICT (lane_id, organization_id) DO UPDATE
          SET waiting = generation_laneorganization.waiting + excluded.waiting,
              running = generation_laneorganization.running + excluded.running;
    END IF;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER job_before BEFORE INSERT OR UPDATE ON generation_job
  FOR EACH ROW EXECUTE FUNCTION generation_job_before();
CREATE TRIGGER job_after AFTER INSERT OR UPDATE OF state ON generation_job
  FOR EACH ROW EXECUTE FUNCTION generation_job_after();

CREATE FUNCTION generation_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER job_event_append_only BEFORE UPDATE OR DELETE ON generation_jobevent
  FOR EACH ROW EXECUTE FUNCTION generation_append_only();

-- A delivered file's bytes and digest are what was signed: they never change, and only a removal may be noted.
CREATE FUNCTION generation_asset_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.job_id, NEW.fence, NEW.role, NEW.path, NEW.bytes, NEW.digest)
     IS DISTINCT FROM (OLD.job_id, OLD.fence, OLD.role, OLD.path, OLD.bytes, OLD.digest) THEN
    RAISE EXCEPTION 'asset % cannot change', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER asset_fixed BEFORE UPDATE ON generation_asset
  FOR EACH ROW EXECUTE FUNCTION generation_asset_fixed();
"""

REMOVE = """
DROP TRIGGER asset_fixed ON generation_asset;
DROP FUNCTION generation_asset_fixed();
DROP TRIGGER job_event_append_only ON generation_jobevent;
DROP FUNCTION generation_append_only();
DROP TRIGGER job_after ON generation_job;
DROP TRIGGER job_before ON generation_job;
DROP FUNCTION generation_job_after();
DROP FUNCTION generation_job_before();
DROP FUNCTION generation_assert_deliverable(generation_job);
DROP SEQUENCE generation_fence;
"""


class Migration(migrations.Migration):
    dependencies = [("generation", "0001_initial"), ("safety", "0001_initial")]
    operations = [migrations.RunSQL(GUARDS, REMOVE)]
