"""The trigger on jobs counts units beside jobs and frees a place at its cap; what runs and waits now is counted once."""

from django.db import migrations

COUNTS = """
CREATE OR REPLACE FUNCTION generation_job_after() RETURNS trigger LANGUAGE plpgsql AS $$
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
    -- Update first: an insert that conflicts would check its own, negative, counts. A job that ends, or another one
    -- at the head after a cancellation, may give the organization room; only a claim says that it has none.
    UPDATE generation_laneorganization
       SET waiting = waiting + waits, running = running + runs,
           running_units_micro = running_units_micro + runs * NEW.units_micro,
           at_cap = at_cap AND runs >= 0 AND (waits >= 0 OR runs > 0)
     WHERE lane_id = NEW.lane_id AND organization_id = NEW.organization_id;
    IF NOT FOUND THEN
      INSERT INTO generation_laneorganization (lane_id, organization_id, tag, waiting, running, running_units_micro)
        VALUES (NEW.lane_id, NEW.organization_id, 0, waits, runs, runs * NEW.units_micro)
        ON CONFLICT (lane_id, organization_id) DO UPDATE
          SET waiting = generation_laneorganization.waiting + excluded.waiting,
              running = generation_laneorganization.running + excluded.running,
              running_units_micro =
                generation_laneorganization.running_units_micro + excluded.running_units_micro;
    END IF;
  END IF;
  RETURN NULL;
END $$;

UPDATE generation_laneorganization o SET running_units_micro = r.units
  FROM (SELECT lane_id, organization_id, sum(units_micro) AS units FROM generation_job
         WHERE state IN ('running', 'finishing') GROUP BY lane_id, organization_id) r
 WHERE o.lane_id = r.lane_id AND o.organization_id = r.organization_id;

-- From here on a job that lost its worker while finishing says so itself.
UPDATE generation_job j SET ahead_of_lane = true
 WHERE j.state = 'finishing'
   AND NOT EXISTS (SELECT 1 FROM generation_attempt a WHERE a.job_id = j.id AND a.ended_at IS NULL);
"""

# The rows that every claim writes: room on their pages keeps them where they are.
ROOM = """
ALTER TABLE generation_pool SET (fillfactor = 20);
ALTER TABLE generation_lane SET (fillfactor = 20);
ALTER TABLE generation_laneorganization SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
"""
NO_ROOM = """
ALTER TABLE generation_pool RESET (fillfactor);
ALTER TABLE generation_lane RESET (fillfactor);
ALTER TABLE generation_laneorganization RESET (fillfactor, autovacuum_vacuum_scale_factor);
"""


class Migration(migrations.Migration):
    dependencies = [("generation", "0008_claims")]
    operations = [
        # The older function counts on, without units.
        migrations.RunSQL(COUNTS, migrations.RunSQL.noop),
        migrations.RunSQL(ROOM, NO_ROOM),
    ]
