"""What is counted, each with the condition that says which rows: the roll-ups count by it and the list of jobs shows by
it, so that a point opens exactly what it counted. Jobs that Backlot makes itself, to see that all works, are no
customer's: nothing here counts them.

A condition is SQL over one change of state and its job, by the names of `changes`. Nothing given by anybody is in it.
"""

import re
from dataclasses import dataclass

from generation.late_clips import CUSTOMERS

# What a condition may speak of beside a change of state `e`, its job `j`, lane `l` and model `m`, by its name there.
# `clock.took_ms` is the time in system of one that delivered, `target` the time promised for it, `a` the attempt that a
# job was handed back by. The clock stands still while a person decides (billing's late clips do the same).
BESIDE = {
    "clock": """
  LEFT JOIN LATERAL (
    SELECT r.at FROM generation_jobevent r
     WHERE e.from_state = 'review' AND r.job_id = e.job_id AND r.to_state = 'review' LIMIT 1) review ON true
  LEFT JOIN LATERAL (
    SELECT 1000 * extract(epoch FROM j.finished_at - j.queued_at - coalesce(e.at - review.at, interval '0'))
           AS took_ms) clock ON true
""",
    "target": """
  LEFT JOIN LATERAL (
    SELECT s.target_s FROM billing_slatarget s
     WHERE e.to_state = 'delivered' AND j.kind = 'clip' AND s.tier_id = l.tier_id AND s.model IN ('', m.name)
       AND s.max_seconds >= (j.spec->>'seconds')::float AND s.effective_from <= j.queued_at
     ORDER BY s.model = '', s.max_seconds, s.effective_from DESC LIMIT 1) target ON true
""",
    "a": """
  LEFT JOIN LATERAL (
    SELECT t.outcome, t.preempt_requested_at FROM generation_attempt t
     WHERE e.to_state = 'queued' AND e.from_state = 'running' AND t.fence = e.fence LIMIT 1) a ON true
""",
}


def changes(speaking_of: str | None = None) -> str:
    """Changes of state with all that a condition speaks of, as a FROM; with everything where none is given."""
    beside = [
        sql for name, sql in BESIDE.items() if speaking_of is None or re.search(rf"\b{name}\.", speaking_of)
    ]
    return f"""
  FROM generation_jobevent e
  JOIN generation_job j ON j.id = e.job_id AND {CUSTOMERS}
  JOIN generation_lane l ON l.slug = j.lane_id
  JOIN generation_registeredmodel m ON m.id = j.model_id
  {"".join(beside)}"""


DELIVERED = "e.to_state = 'delivered' AND e.from_state <> 'withdrawn'"
ENDED = f"(({DELIVERED}) OR e.to_state IN ('failed', 'blocked', 'cancelled'))"
NOT_FINITE = "e.to_state = 'failed' AND j.error_code = 'not_finite'"
TIMED = f"{DELIVERED} AND target.target_s IS NOT NULL"


@dataclass(frozen=True)
class What:
    """A kind of change: its name in roll-ups and addresses, what people call the jobs, and its condition."""

    name: str
    words: str
    condition: str


WHATS = (
    What("submitted", "Submitted", "e.from_state = ''"),
    What("delivered", "Delivered", DELIVERED),
    What("ended", "Ended", ENDED),
    What("failed", "Failed", "e.to_state = 'failed'"),
    What("blocked", "Blocked after they were admitted", "e.to_state = 'blocked'"),
    What("cancelled", "Cancelled", "e.to_state = 'cancelled'"),
    What("withdrawn", "Withdrawn", "e.to_state = 'withdrawn'"),
    What("repeats", "Served from the cache", f"{DELIVERED} AND j.repeat_of_id IS NOT NULL"),
    What(
        "clips_made",
        "Clips made",
        f"{DELIVERED} AND j.kind = 'clip' AND j.repeat_of_id IS NULL",
    ),
    What("clips_ended", "Clips that ended", f"{ENDED} AND e.to_state <> 'cancelled' AND j.kind = 'clip'"),
    What("not_finite", "Not finite (NaN)", NOT_FINITE),
    What("unavailable", "Failed by the system", "e.to_state = 'failed' AND j.error_code <> 'not_finite'"),
    What("timed", "Delivered with a promised time", TIMED),
    What("late", "Delivered late", f"{TIMED} AND clock.took_ms > 1000 * target.target_s"),
    What(
        "off_steps",
        "Ran other steps than agreed",
        f"{DELIVERED} AND j.kind = 'clip' AND j.repeat_of_id IS NULL AND j.steps_run <> j.steps",
    ),
    What(
        "preempted",
        "Gave way",
        "e.from_state = 'running' AND e.to_state = 'queued' AND a.outcome = 'handed_back'"
        " AND a.preempt_requested_at IS NOT NULL",
    ),
    What(
        "drained",
        "Handed back by a worker that stops",
        "e.from_state = 'running' AND e.to_state = 'queued' AND a.outcome = 'handed_back'"
        " AND a.preempt_requested_at IS NULL",
    ),
)
BY_NAME = {what.name: what for what in WHATS}

# Further names, by what the job says: `failed:<error code>`, `blocked:<category of its prompt>`.
REASONS = {
    "failed": "coalesce(nullif(j.error_code, ''), 'unknown')",
    "blocked": "coalesce(j.screening->>'category', '')",
}

# Not of a change of state, but of a row of its own: jobs that started, that were tried again, that wait at a moment.
STARTED, RETRIED, WAITING, SLOW_START = "started", "retries", "waiting", "slow_start"
WORDS = {
    **{what.name: what.words for what in WHATS},
    STARTED: "Started",
    SLOW_START: "Started after more than 15 s",
    RETRIED: "Tried again after an attempt broke or was lost",
    WAITING: "Waiting for a first start",
}
SLOW_START_S = 15  # the target of half of all queue waits (specified)
RETRIES = ("attempt.lost", "attempt.failed")
