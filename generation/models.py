"""Jobs and what runs them. The state machine, its event rows and the delivery guard are triggers in migration 0002.

Money is in micro-credits, compute units in micro-units, accelerator time in milliseconds.
"""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value

from generation import by_time
from generation.afterwards.refused_prompts import RefusedPrompt
from generation.afterwards.review_records import Rescan, RescanDay, ReviewPull, Withdrawal, WithdrawalPolicy
from generation.code import dialects
from generation.credentials.held_records import SigningOutage, UnsignedClip
from generation.evaluation.case_records import (
    CoherenceLabel,
    CoherenceThreshold,
    EvaluationCase,
    EvaluationRun,
    OnlineMeasure,
)
from generation.evaluation.records import Evaluation
from generation.fleet.pools import (
    Kind,
    Lane,
    LaneOrganization,
    LaneOverride,
    ModelLoad,
    Pool,
    RegisteredModel,
    Worker,
)
from generation.inputs.input_records import InputImage
from generation.lineage import records as lineage
from generation.retention.records import FileRemoval, FileRetention
from generation.scheduling.records import (
    EndpointLoad,
    PoolOverride,
    PoolSettings,
    RaiseRule,
    RaiseRuleOverride,
    ToldEta,
)
from generation.sharing.records import ClipShare
from generation.tracing.records import JobTrace

__all__ = [
    "OPEN_STATES",
    "Asset",
    "Attempt",
    "ClipShare",
    "CoherenceLabel",
    "CoherenceThreshold",
    "EndpointLoad",
    "Evaluation",
    "EvaluationCase",
    "EvaluationRun",
    "FileRemoval",
    "FileRetention",
    "InputImage",
    "Job",
    "JobEvent",
    "JobTrace",
    "Kind",
    "Lane",
    "LaneOrganization",
    "LaneOverride",
    "ModelLoad",
    "OnlineMeasure",
    "Pool",
    "PoolOverride",
    "PoolSettings",
    "RaiseRule",
    "RaiseRuleOverride",
    "RefusedPrompt",
    "RegisteredModel",
    "Rescan",
    "RescanDay",
    "ReviewPull",
    "SigningOutage",
    "State",
    "ToldEta",
    "TokenSegment",
    "UnsignedClip",
    "Withdrawal",
    "WithdrawalPolicy",
    "Worker",
]


class State(models.TextChoices):
    SCREENING = "screening"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHING = "finishing"
    HELD = "held"
    REVIEW = "review"
    DELIVERED = "delivered"
    WITHDRAWN = "withdrawn"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    FAILED = "failed"


# The job still owns a hold and may still change; everything else is the end of its story (or a withdrawal).
OPEN_STATES = (State.SCREENING, State.QUEUED, State.RUNNING, State.FINISHING, State.HELD, State.REVIEW)


class Job(lineage.ClipLife):
    """One request for a clip or a completion, from its decision to its end."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of their own for organization and lane: job_history and job_started begin with them, and every index
    # costs every claim one more entry.
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="jobs", db_index=False
    )
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    api_key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=12, default="api")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="jobs")
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="jobs", db_index=False)
    # The finished clip that this request repeats exactly and was served from; see repeat_cache.py.
    repeat_of = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="repeats")
    prompt = models.TextField()
    spec = models.JSONField()
    spec_hash = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    # Denoising steps that must run, exactly; 0 for code.
    steps = models.PositiveIntegerField(default=0)

    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    state_cause = models.CharField(max_length=200, default="submitted")
    state_at = models.DateTimeField(auto_now_add=True)
    fence = models.BigIntegerField(default=0)
    ahead_of_lane = models.BooleanField(default=False)
    attempts_failed = models.PositiveSmallIntegerField(default=0)

    units_micro = models.BigIntegerField()
    estimate_gpu_ms = models.BigIntegerField()
    quote_micro = models.BigIntegerField()
    charge_micro = models.BigIntegerField(null=True)
    hold = models.OneToOneField("billing.Hold", on_delete=models.PROTECT, related_name="+")
    decision = models.OneToOneField("billing.Decision", on_delete=models.PROTECT, related_name="+")
    screening = models.JSONField(default=dict)

    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001  NULL means none was sent
    request_hash = models.CharField(max_length=64)

    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)

    steps_run = models.PositiveIntegerField(default=0)
    checkpoints = models.PositiveIntegerField(default=0)
    tokens_in = models.PositiveIntegerField(default=0)
    tokens_out = models.PositiveIntegerField(default=0)
    finish_reason = models.CharField(max_length=20, blank=True)
    # Seconds per stage of the attempt that delivered, and the device it ran on.
    stages = models.JSONField(default=dict)
    device = models.CharField(max_length=120, blank=True)
    # The precision it was made in, the most memory an attempt took, and what was written for it in all attempts.
    precision = models.CharField(max_length=8, blank=True, db_default="")
    peak_memory_bytes = models.BigIntegerField(db_default=0)
    checkpoint_bytes = models.BigIntegerField(db_default=0)
    file_bytes = models.BigIntegerField(db_default=0)

    just_submitted = False  # no column: true of the instance that admission made, and read nowhere else

    class Meta:
        constraints = [
            *lineage.CONSTRAINTS,
            models.UniqueConstraint(
                fields=["organization", "kind", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="one_job_per_idempotency_key",
            ),
            models.CheckConstraint(
                condition=Q(steps_run__lte=F("steps")), name="never_more_steps_than_asked"
            ),
            models.CheckConstraint(
                condition=Q(charge_micro=None) | Q(charge_micro__gte=0, charge_micro__lte=F("quote_micro")),
                name="job_charge_within_quote",
            ),
        ]
        indexes = [
            *lineage.INDEXES,
            # The claim's second pick: the oldest waiting job of one organization in one lane, returned ones first.
            models.Index(
                fields=["lane", "organization", "-ahead_of_lane", "queued_at", "id"],
                condition=Q(state="queued"),
                name="job_next_in_lane",
            ),
            # The history page and GET /v1/videos.
            models.Index(fields=["organization", "kind", "-created_at"], name="job_history"),
            # The claim: a job that lost its worker while finishing.
            models.Index(
                fields=["lane", "queued_at"],
                condition=Q(state="finishing", ahead_of_lane=True),
                name="job_orphan",
            ),
            # Operator pages and the reaper: what is open now, oldest first.
            models.Index(
                fields=["state", "queued_at"],
                condition=Q(state__in=OPEN_STATES),
                name="job_open",
            ),
            # generation/scheduling/standing.py: what the last delivered jobs of a model took.
            models.Index(
                fields=["model", "-finished_at"],
                condition=Q(state="delivered"),
                name="job_recently_delivered",
            ),
            # repeat_cache.py: a delivered clip of the same spec, newest first.
            models.Index(
                fields=["organization", "spec_hash", "-finished_at"],
                condition=Q(state="delivered", kind="clip", repeat_of=None),
                name="job_repeatable",
            ),
            # Queue wait per tier over a recent window.
            models.Index(fields=["lane", "started_at"], name="job_started"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        prefix = "video_" if self.kind == Kind.CLIP else dialects.prefix_of(self.spec)
        return f"{prefix}{self.id.hex}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class JobEvent(models.Model):
    """One change of state with its cause, written by the trigger on jobs; append-only."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="events")
    at = models.DateTimeField()
    from_state = models.CharField(max_length=10, blank=True)
    to_state = models.CharField(max_length=10)
    cause = models.CharField(max_length=200)
    fence = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["job", "at"], name="job_event_timeline"), by_time.EVENTS]

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} → {self.to_state}"


class Attempt(models.Model):
    """One worker's turn at a job, under a lease by the database's clock and a fencing number."""

    class Outcome(models.TextChoices):
        DELIVERED = "delivered"
        HANDED_BACK = "handed_back"
        LOST = "lost"
        FAILED = "failed"
        BLOCKED = "blocked"
        CANCELLED = "cancelled"
        REVIEW = "review"

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="attempts")
    worker = models.ForeignKey(Worker, on_delete=models.PROTECT, related_name="attempts")
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="+", db_index=False)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    fence = models.BigIntegerField(unique=True)
    lease_seconds = models.PositiveIntegerField()
    lease_expires_at = models.DateTimeField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)
    detail = models.TextField(blank=True)
    step = models.PositiveIntegerField(default=0)
    stage = models.CharField(max_length=20, default="claimed")
    resumed_from_step = models.PositiveIntegerField(default=0)
    checkpoints = models.PositiveIntegerField(default=0)
    preview = models.CharField(max_length=300, blank=True)
    device = models.CharField(max_length=120, blank=True)
    threads = models.PositiveSmallIntegerField(default=0)
    stages = models.JSONField(default=dict)
    # [stage, start, end], in milliseconds since the claim: what ran beside what (worker/stages.py).
    trace = models.JSONField(db_default=Value([], models.JSONField()))
    precision = models.CharField(max_length=8, blank=True, db_default="")
    peak_memory_bytes = models.BigIntegerField(db_default=0)
    checkpoint_bytes = models.BigIntegerField(db_default=0)
    file_bytes = models.BigIntegerField(db_default=0)
    # Preemption: who wants the device back and why, how long handing back kept it, and the job's place after it.
    preempt_requested_at = models.DateTimeField(null=True)
    preempt_reason = models.CharField(max_length=200, blank=True, db_default="")
    yield_ms = models.PositiveIntegerField(null=True)
    return_position = models.PositiveIntegerField(null=True)
    refused_checkpoints = ArrayField(models.CharField(max_length=200), default=list)
    # What the claim charged to the lane's tag, at which weight, what really ran, and whether the next claim has
    # put the difference right.
    charged_gpu_ms = models.BigIntegerField()
    charged_weight = models.FloatField()
    gpu_ms = models.BigIntegerField(default=0)
    # early_look.py: what the steps that an early block left unspent would have taken.
    saved_gpu_ms = models.BigIntegerField(db_default=0)
    corrected = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job"], condition=Q(ended_at=None), name="one_live_attempt_per_job"
            ),
            models.CheckConstraint(
                condition=Q(preempt_requested_at=None, preempt_reason="")
                | Q(preempt_requested_at__isnull=False, preempt_reason__regex=r"\S"),
                name="preemption_has_its_reason",
            ),
        ]
        indexes = [
            # The reaper: live attempts by the end of their lease.
            models.Index(fields=["lease_expires_at"], condition=Q(ended_at=None), name="attempt_lease"),
            # early_look.py: what early blocks saved over a span of time.
            models.Index(fields=["ended_at"], condition=Q(saved_gpu_ms__gt=0), name="attempt_saved"),
            # The claim: ended attempts whose estimate it still has to put right.
            models.Index(
                fields=["lane"],
                condition=Q(ended_at__isnull=False, corrected=False),
                name="attempt_to_correct",
            ),
            by_time.ATTEMPTS,
        ]

    def __str__(self) -> str:
        return f"attempt {self.fence} of {self.job_id}"


class Asset(models.Model):
    """A file that may be delivered, exactly the bytes whose digest was signed. Role: video, thumbnail, spritesheet."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="assets")
    fence = models.BigIntegerField()
    role = models.CharField(max_length=12, default="video")
    path = models.CharField(max_length=300, unique=True)
    media_type = models.CharField(max_length=60)
    bytes = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)
    # Not delivered while people look at it again (generation/afterwards/pulls.py, reports).
    withheld_at = models.DateTimeField(null=True)
    # When its credentials were last read and what was found (credentials/verification.py): only Trusted ones go out.
    verified_at = models.DateTimeField(null=True)
    verified_state = models.CharField(max_length=40, db_default="", default="")
    quarantined_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "role", "fence"], name="one_asset_per_role_and_fence"),
            models.CheckConstraint(
                condition=Q(role__in=("video", "thumbnail", "spritesheet")), name="asset_role_known"
            ),
        ]
        indexes = [
            # credentials/verification.py: what was looked at longest ago.
            models.Index(
                F("verified_at").asc(nulls_first=True),
                "id",
                condition=Q(removed_at=None),
                name="asset_to_verify",
            ),
        ]

    def __str__(self) -> str:
        return self.path


class TokenSegment(models.Model):
    """A run of tokens as it was sent: in PostgreSQL before it is in Redis, so that nobody saw what is not here."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="segments")
    seq = models.PositiveIntegerField()
    fence = models.BigIntegerField()
    text = models.TextField()
    # The tokens themselves: the text could be cut into others, and a continued answer must not differ.
    ids = ArrayField(models.PositiveIntegerField())
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "seq"], name="one_segment_per_number")]

    def __str__(self) -> str:
        return f"{self.job_id}#{self.seq}"
