"""Jobs that repeat a finished clip, jobs that change pools while they wait, and a pool's capacity as a live setting."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import Q, Value

from accounts.together import Together

GUARDS = r"""
-- A repeat ran nothing itself: what lets it out is the clip it repeats, which must be deliverable now.
CREATE FUNCTION generation_assert_repeatable(job generation_job) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  original generation_job;
BEGIN
  SELECT * INTO original FROM generation_job WHERE id = job.repeat_of_id FOR SHARE;
  IF original.organization_id <> job.organization_id OR original.spec_hash <> job.spec_hash
     OR original.model_id <> job.model_id OR original.kind <> 'clip' OR job.kind <> 'clip' THEN
    RAISE EXCEPTION 'job % is no exact repeat of %', job.id, original.id USING ERRCODE = 'check_violation';
  END IF;
  IF original.state <> 'delivered' OR original.repeat_of_id IS NOT NULL OR original.deleted_at IS NOT NULL THEN
    RAISE EXCEPTION 'job % repeats %, which is not delivered now', job.id, original.id
      USING ERRCODE = 'check_violation';
  END IF;
  PERFORM generation_assert_deliverable(original);
END $$;

CREATE OR REPLACE FUNCTION generation_job_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state NOT IN ('screening', 'queued') THEN
      RAISE EXCEPTION 'a job begins screening or queued, not %', NEW.state USING ERRCODE = 'check_violation';
    END IF;
    NEW.state_at := clock_timestamp();
    RETURN NEW;
  END IF;
  IF (NEW.organization_id, NEW.hold_id, NEW.decision_id, NEW.spec_hash, NEW.steps, NEW.seed, NEW.quote_micro,
      NEW.units_micro, NEW.model_id, NEW.prompt, NEW.repeat_of_id)
     IS DISTINCT FROM
     (OLD.organization_id, OLD.hold_id, OLD.decision_id, OLD.spec_hash, OLD.steps, OLD.seed, OLD.quote_micro,
      OLD.units_micro, OLD.model_id, OLD.prompt, OLD.repeat_of_id) THEN
    RAISE EXCEPTION 'job %: what was asked, quoted and held cannot change', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  -- A job that waits may go to another pool of its kind; its tier, and so its rights, stay.
  IF NEW.lane_id IS DISTINCT FROM OLD.lane_id AND (
    OLD.state <> 'queued' OR NEW.state <> 'queued' OR NOT EXISTS (
      SELECT 1 FROM generation_lane f JOIN generation_pool fp ON fp.slug = f.pool_id
        JOIN generation_lane t ON t.tier_id = f.tier_id JOIN generation_pool tp ON tp.slug = t.pool_id
       WHERE f.slug = OLD.lane_id AND t.slug = NEW.lane_id AND fp.kind = tp.kind)) THEN
    RAISE EXCEPTION 'job %: only a waiting job changes lanes, to its tier''s in a pool of its kind', OLD.id
      USING ERRCODE = 'check_violation';
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
    ) AND NOT (OLD.state = 'queued' AND NEW.state = 'delivered' AND NEW.repeat_of_id IS NOT NULL) THEN
      RAISE EXCEPTION 'job %: % does not go to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state_cause !~ '\S' THEN
      RAISE EXCEPTION 'job %: a change of state needs its cause', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state = 'running' AND NEW.repeat_of_id IS NOT NULL THEN
      RAISE EXCEPTION 'job % repeats a finished clip and does not run', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state = 'delivered' THEN
      IF NEW.repeat_of_id IS NULL THEN
        PERFORM generation_assert_deliverable(NEW);
      ELSE
        PERFORM generation_assert_repeatable(NEW);
      END IF;
    END IF;
    NEW.state_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;

-- The counts follow a job to its new lane, and the record says that it moved.
CREATE FUNCTION generation_job_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE generation_laneorganization SET waiting = waiting - 1
   WHERE lane_id = OLD.lane_id AND organization_id = OLD.organization_id;
  INSERT INTO generation_laneorganization (lane_id, organization_id, tag, waiting, running)
    VALUES (NEW.lane_id, NEW.organization_id, 0, 1, 0)
    ON CONFLICT (lane_id, organization_id) DO UPDATE SET waiting = generation_laneorganization.waiting + 1;
  INSERT INTO generation_jobevent (job_id, at, from_state, to_state, cause, fence)
    VALUES (NEW.id, clock_timestamp(), 'queued', 'queued', 'moved from ' || OLD.lane_id || ' to ' || NEW.lane_id, NEW.fence);
  RETURN NULL;
END $$;
CREATE TRIGGER job_moved AFTER UPDATE OF lane_id ON generation_job
  FOR EACH ROW WHEN (OLD.lane_id IS DISTINCT FROM NEW.lane_id) EXECUTE FUNCTION generation_job_moved();
"""

FIELDS = ("preempt_after_s", "most_preemptions", "soon_s", "most_wait_s")
SLUGS = django.contrib.postgres.fields.ArrayField(base_field=models.SlugField(), size=None)


class Migration(migrations.Migration):
    dependencies = [("generation", "0009_claim_counts")]
    operations = [
        Together([
        migrations.AddField(
            model_name="endpointload",
            name="capacity_units_micro",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddConstraint(
            model_name="endpointload",
            constraint=models.CheckConstraint(
                condition=Q(capacity_units_micro__gt=0), name="endpoint_capacity_positive"
            ),
        ),
        migrations.AddField(
            model_name="registeredmodel",
            name="also_pools",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.SlugField(), db_default=Value([], SLUGS), size=None
            ),
        ),
        ]),
        migrations.RemoveConstraint(model_name="pooloverride", name="pool_override_field_known"),
        migrations.AddConstraint(
            model_name="pooloverride",
            constraint=models.CheckConstraint(
                condition=Q(field__in=(*FIELDS, "capacity_units_micro")), name="pool_override_field_known"
            ),
        ),
        # Older functions would refuse repeats that exist; there is no way back.
        migrations.RunSQL(GUARDS, migrations.RunSQL.noop),
    ]
