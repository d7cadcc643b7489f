"""Every metric of this installation: its name, what kind it is, its labels and its meaning. Plain values alone.

Names follow Prometheus: base units (`_seconds`, `_bytes`), `_total` for what only grows, one meaning a name. Labels are
words from short lists (tiers, pools, stages, states), never an organization, a person, a job or a text.
"""

from dataclasses import dataclass

PREFIX = "backlot_"
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
# Where a family is read: rows of the database, the same in every process, or what the processes of a machine kept.
ROWS, PROCESSES = "installation", "processes"

# Upper bounds of buckets, in seconds; the last one, +Inf, is left unsaid.
WAITS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
STAGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
FIRST_WORDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Family:
    """One metric. `key` names it without the prefix and, of a counter, without `_total`."""

    key: str
    kind: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    read_from: str = ROWS

    @property
    def name(self) -> str:
        """As Prometheus knows it."""
        return PREFIX + self.key + ("_total" if self.kind == COUNTER else "")

    @property
    def series(self) -> tuple[str, ...]:
        """The names that its samples have."""
        if self.kind == HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)

    @property
    def all_labels(self) -> tuple[str, ...]:
        return (*self.labels, "le") if self.kind == HISTOGRAM else self.labels


JOB, POOL = ("kind", "tier"), ("pool",)

# Counted from rows that are never changed, behind their numbers (sources.py).
COUNTED = (
    Family("jobs_submitted", COUNTER, JOB, "Jobs admitted: decided, held and written."),
    Family(
        "jobs_ended",
        COUNTER,
        (*JOB, "state"),
        "Jobs that came to an end, by the state. A clip that is withdrawn later is counted there as well.",
    ),
    Family("jobs_failed", COUNTER, (*JOB, "code"), "Failed jobs by the code that their owners were told."),
    Family("jobs_repeated", COUNTER, JOB, "Delivered jobs that were exact repeats and ran no step."),
    Family("jobs_requeued", COUNTER, JOB, "Jobs given back to their lane: preempted, drained, or lost."),
    Family(
        "job_queue_wait_seconds",
        HISTOGRAM,
        JOB,
        "From being queued to the first start. Jobs that still wait are in backlot_queue_oldest_wait_seconds.",
        WAITS,
    ),
    Family(
        "job_time_in_system_seconds",
        HISTOGRAM,
        JOB,
        "From being queued to delivery, without repeats and without what a person reviewed.",
        WAITS,
    ),
    Family(
        "clip_deliveries",
        COUNTER,
        ("tier", "in_time"),
        "Delivered clips that have a target for the time in system, and whether it was met.",
    ),
    Family(
        "code_first_token_seconds",
        HISTOGRAM,
        ("tier",),
        "From being queued to the first stored words of a completion.",
        FIRST_WORDS,
    ),
    Family("code_tokens", COUNTER, ("model", "direction"), "Tokens of ended completions, input and output."),
    Family("attempts", COUNTER, ("pool", "outcome"), "Ended turns of workers at jobs."),
    Family(
        "device_seconds",
        COUNTER,
        ("pool", "tier", "outcome"),
        "Time that accelerators spent on attempts, by how those ended.",
    ),
    Family("device_saved_seconds", COUNTER, POOL, "Device time that early looks left unspent by blocking."),
    Family("denoising_steps", COUNTER, ("pool", "outcome"), "Denoising steps that ran."),
    Family("denoising_steps_resumed", COUNTER, POOL, "Steps that a checkpoint saved from running again."),
    Family("checkpoints", COUNTER, POOL, "Checkpoints that attempts wrote."),
    Family("checkpoint_written_bytes", COUNTER, POOL, "Bytes of checkpoints that attempts wrote."),
    Family("preemptions", COUNTER, POOL, "Attempts that were asked to give their device to another job."),
    Family(
        "attempt_stage_seconds",
        HISTOGRAM,
        ("pool", "stage"),
        "Time that an attempt spent in a stage, all its entries summed.",
        STAGES,
    ),
    Family("operational_events", COUNTER, ("kind", "severity"), "What went wrong, as alarms read it."),
    Family("frame_scans", COUNTER, ("purpose", "verdict"), "Looks at frames that the gates finished."),
    Family(
        "frame_scan_seconds", HISTOGRAM, ("purpose",), "How long a look at frames took the gates.", STAGES
    ),
    Family("credentials", COUNTER, ("state",), "Signed files by how their credentials read afterwards."),
    Family(
        "ledger_credits",
        COUNTER,
        ("transaction", "account"),
        "Credits that came into accounts of a kind by transactions of a kind.",
    ),
    Family("credits_charged", COUNTER, ("operation", "outcome"), "Credits charged for work by its outcome."),
    Family("charges", COUNTER, ("operation", "outcome"), "Pieces of work that were settled, by the outcome."),
)

# As it stands at the moment of the scrape (standing.py).
STANDING = (
    Family("jobs_open", GAUGE, ("pool", "lane", "tier", "state"), "Jobs that have not ended."),
    Family(
        "queue_oldest_wait_seconds",
        GAUGE,
        ("pool", "lane", "tier"),
        "Age of the oldest job that waits in a lane.",
    ),
    Family("lane_weight", GAUGE, ("pool", "lane"), "Weight in force, overrides counted."),
    Family("lane_floor_ratio", GAUGE, ("pool", "lane"), "Share of device time that a lane is owed first."),
    Family("lane_burst_cap_jobs", GAUGE, ("pool", "lane"), "Jobs that one organization may have running."),
    Family(
        "lane_recent_device_seconds", GAUGE, ("pool", "lane"), "Device time of the last minutes, decayed."
    ),
    Family(
        "workers", GAUGE, ("pool", "state"), "Worker processes: run, drain, restart, quarantine, or silent."
    ),
    Family("worker_slots", GAUGE, POOL, "Jobs that the live workers of a pool can have at once."),
    Family("worker_slots_busy", GAUGE, POOL, "Attempts under a lease."),
    Family("models", GAUGE, ("kind", "status"), "Registered revisions of models."),
    Family("alarm_level", GAUGE, ("alarm",), "0 quiet, 1 fires, 2 escalated; the worst of its scopes."),
    Family("alarm_round_age_seconds", GAUGE, (), "Since the alarms were last looked at."),
    Family("review_items_open", GAUGE, ("state",), "Items that wait for a person of trust and safety."),
    Family("review_oldest_wait_seconds", GAUGE, (), "Age of the oldest item that waits for a person."),
    Family("signing_outage_seconds", GAUGE, (), "How long signing has been down; 0 while it works."),
    Family("outbox_events_waiting", GAUGE, (), "Events that were told and are not handed on yet."),
    Family("outbox_oldest_due_seconds", GAUGE, (), "How long the oldest waiting event has been due."),
    Family("webhook_deliveries_waiting", GAUGE, (), "Webhook deliveries that are not through yet."),
    Family("credits_held", GAUGE, (), "Credits held for open work."),
    Family(
        "counted_behind_rows", GAUGE, ("source",), "Rows that are newer than the kept totals of a source."
    ),
    Family("database_up", GAUGE, (), "Whether the rows could be read for this scrape."),
    Family("scrape_read_seconds", GAUGE, (), "How long reading the rows took for this scrape."),
)

# What processes count themselves (in_process.py); of all processes of the machine that is scraped.
IN_PROCESS = (
    Family(
        "http_request_duration_seconds",
        HISTOGRAM,
        ("method", "route", "status"),
        "From a request to the head of its answer, by route; a stream's end is not waited for.",
        REQUESTS,
        PROCESSES,
    ),
    Family(
        "api_errors", COUNTER, ("code",), "Errors of the API by the code of its table.", read_from=PROCESSES
    ),
    Family(
        "task_duration_seconds",
        HISTOGRAM,
        ("task", "outcome"),
        "How long a task of the queues ran; of generation.tasks.work until nothing waited any more.",
        REQUESTS,
        PROCESSES,
    ),
)

FAMILIES = COUNTED + STANDING + IN_PROCESS
BY_KEY = {family.key: family for family in FAMILIES}
