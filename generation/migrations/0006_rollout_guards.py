"""What the database keeps of a roll-out: no active revision without its passed gate, no job for one that isn't active.

A revision that served before there was a gate stays active. One that never had a job, so every one of a fresh
installation, begins as candidate and goes through the gate.
"""

from django.db import migrations

GUARDS = r"""
CREATE FUNCTION generation_model_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status <> 'candidate' THEN
      RAISE EXCEPTION 'revision % of % begins as candidate, not %', NEW.revision, NEW.name, NEW.status
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF (NEW.name, NEW.revision, NEW.kind) IS DISTINCT FROM (OLD.name, OLD.revision, OLD.kind) THEN
    RAISE EXCEPTION 'the name, revision and kind of a registered model cannot change' USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.status IS NOT DISTINCT FROM OLD.status THEN
    RETURN NEW;
  END IF;
  IF (OLD.status, NEW.status) NOT IN (
    ('candidate', 'active'), ('candidate', 'quarantined'), ('candidate', 'retired'),
    ('active', 'candidate'), ('active', 'quarantined'), ('active', 'retired'),
    ('quarantined', 'candidate'), ('quarantined', 'active'), ('quarantined', 'retired'),
    ('retired', 'candidate'), ('retired', 'active'), ('retired', 'quarantined')
  ) THEN
    RAISE EXCEPTION 'a revision does not go from % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
  END IF;
  -- A candidate needs a fresh gate. One that has served goes back into service on the gate that let it in.
  IF NEW.status = 'active' AND NOT EXISTS (
    SELECT 1 FROM generation_evaluation e
     WHERE e.model_id = NEW.id AND e.suite = 'deploy' AND e.passed
       AND (OLD.status <> 'candidate' OR e.at > clock_timestamp() - interval '7 days')
  ) THEN
    RAISE EXCEPTION 'revision % of % has not passed the deploy gate', NEW.revision, NEW.name
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER model_way BEFORE INSERT OR UPDATE ON generation_registeredmodel
  FOR EACH ROW EXECUTE FUNCTION generation_model_way();

-- Passed means that every floor is met by a figure that is there.
CREATE FUNCTION generation_evaluation_passes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.passed AND (NEW.floors = '{}'::jsonb OR EXISTS (
    SELECT 1 FROM jsonb_each_text(NEW.floors) f
     WHERE coalesce((NEW.figures ->> f.key)::float, '-infinity'::float) < f.value::float
  )) THEN
    RAISE EXCEPTION 'evaluation % says passed with figures % under floors %', NEW.suite, NEW.figures, NEW.floors
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER evaluation_passes BEFORE INSERT ON generation_evaluation
  FOR EACH ROW EXECUTE FUNCTION generation_evaluation_passes();

-- The share lock makes a quarantine wait for admissions under way, and them for it.
CREATE FUNCTION generation_job_needs_active_model() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM generation_registeredmodel WHERE id = NEW.model_id AND status = 'active' FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'job % names a model revision that is not active', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER job_needs_active_model BEFORE INSERT ON generation_job
  FOR EACH ROW EXECUTE FUNCTION generation_job_needs_active_model();

UPDATE generation_registeredmodel m SET status = 'candidate'
 WHERE status = 'active' AND NOT EXISTS (SELECT 1 FROM generation_job j WHERE j.model_id = m.id);
"""

REMOVE = """
DROP TRIGGER job_needs_active_model ON generation_job;
DROP FUNCTION generation_job_needs_active_model();
DROP TRIGGER evaluation_passes ON generation_evaluation;
DROP FUNCTION generation_evaluation_passes();
DROP TRIGGER model_way ON generation_registeredmodel;
DROP FUNCTION generation_model_way();
"""


class Migration(migrations.Migration):
    dependencies = [("generation", "0005_evaluations")]
    operations = [migrations.RunSQL(GUARDS, REMOVE)]
