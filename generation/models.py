"""Jobs and what runs them. The state machine, its event rows and the delivery guard are triggers in migration 0002.

Money is in micro-credits, compute units in micro-units, accelerator time in milliseconds.
"""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from accounts.models import Override


class Kind(models.TextChoices):
    CLIP = "clip"
    CODE = "code"


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


class Pool(models.Model):
    """Machines of one kind that serve one kind of job; `slug` is also the name of its Celery queue."""

    slug = models.SlugField(primary_key=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    machine = models.CharField(max_length=120, blank=True)
    # The least tag among backlogged lanes at the last claim: a lane that returns from idleness is lifted to it.
    virtual_time = models.FloatField(default=0)

    def __str__(self) -> str:
        return self.slug


class Lane(models.Model):
    """A tier's place in a pool: the baseline of its live settings and its fair-share tag.

    Only a claim writes the tags, so that the row is locked by claims alone.
    """

    slug = models.SlugField(primary_key=True)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="lanes")
    tier = models.ForeignKey("accounts.Tier", on_delete=models.PROTECT, related_name="+")
    weight = models.FloatField()
    floor = models.FloatField(default=0)
    max_running = models.PositiveIntegerField()
    preemptible = models.BooleanField(default=False)
    # Virtual time in GPU-milliseconds ÷ weight, and the same among the organizations inside the lane.
    tag = models.FloatField(default=0)
    organization_virtual_time = models.FloatField(default=0)
    # GPU-milliseconds of the last minutes, decayed: what the floor is measured against.
    recent_gpu_ms = models.FloatField(default=0)
    recent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "tier"], name="one_lane_per_pool_and_tier"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="lane_weight_positive"),
            models.CheckConstraint(condition=Q(floor__gte=0, floor__lt=1), name="lane_floor_is_a_share"),
        ]

    def __str__(self) -> str:
        return self.slug


class LaneOverride(Override):
    """One live change of a lane's weight, floor or max_running; the effective value is derived."""

    FIELDS = ("weight", "floor", "max_running")
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                condition=Q(field__in=("weight", "floor", "max_running")), name="lane_override_field_known"
            ),
        ]
        indexes = [
            # Read inside every claim: the overrides that stand.
            models.Index(fields=["lane"], condition=Q(removed_at=None), name="lane_override_standing")
        ]


class LaneOrganization(models.Model):
    """An organization's place inside a lane. The counts are kept by the trigger on jobs, never by Python."""

    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="organizations")
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+")
    tag = models.FloatField(default=0)
    waiting = models.IntegerField(default=0)
    running = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lane", "organization"], name="one_place_per_lane"),
            models.CheckConstraint(
                condition=Q(waiting__gte=0, running__gte=0), name="lane_counts_not_negative"
            ),
        ]
        indexes = [
            # The claim's pick: the least tag among those that wait, LIMIT 1.
            models.Index(fields=["lane", "tag"], condition=Q(waiting__gt=0), name="lane_organization_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} in {self.lane_id}"


class RegisteredModel(models.Model):
    """A revision of a model that may serve requests, and what it can do."""

    class Status(models.TextChoices):
        CANDIDATE = "candidate"
        ACTIVE = "active"
        QUARANTINED = "quarantined"
        RETIRED = "retired"

    name = models.SlugField()
    revision = models.CharField(max_length=40)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.CANDIDATE)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="models")
    folder = models.CharField(max_length=400, help_text="A folder, relative to the project or absolute.")
    description = models.TextField(blank=True)
    precision = models.CharField(max_length=8, default="fp32")
    facts = models.JSONField(default=dict, help_text="sizes, seconds, fps, context, guidance: what it can do")
    gpu_ms_fixed = models.PositiveIntegerField(default=0)
    gpu_ms_per_step = models.PositiveIntegerField(
        help_text="per denoising step, or per token for a code model"
    )
    lease_seconds = models.PositiveIntegerField(default=30)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "revision"], name="one_row_per_revision"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(status="active"), name="one_active_revision_per_model"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}"


class Job(models.Model):
    """One request for a clip or a completion, from its decision to its end."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="jobs")
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    api_key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=12, default="api")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="jobs")
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="jobs")
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

    class Meta:
        constraints = [
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
            # The claim's second pick: the oldest waiting job of one organization in one lane, returned ones first.
            models.Index(
                fields=["lane", "organization", "-ahead_of_lane", "queued_at"],
                condition=Q(state="queued"),
                name="job_waiting_in_lane",
            ),
            # The history page and GET /v1/videos.
            models.Index(fields=["organization", "kind", "-created_at"], name="job_history"),
            # Operator pages and the reaper: what is open now, oldest first.
            models.Index(
                fields=["state", "queued_at"],
                condition=Q(state__in=OPEN_STATES),
                name="job_open",
            ),
            # Queue wait per tier over a recent window.
            models.Index(fields=["lane", "started_at"], name="job_started"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return f"{'video' if self.kind == Kind.CLIP else 'cmpl'}_{self.id.hex}"

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
        indexes = [models.Index(fields=["job", "at"], name="job_event_timeline")]

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} → {self.to_state}"


class Worker(models.Model):
    """A process that takes jobs from one pool, with the state an operator wants it in."""

    class Desired(models.TextChoices):
        RUN = "run"
        DRAIN = "drain"
        RESTART = "restart"
        QUARANTINE = "quarantine"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="workers")
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    device = models.CharField(max_length=120)
    slots = models.PositiveSmallIntegerField(default=1)
    desired = models.CharField(max_length=10, choices=Desired.choices, default=Desired.RUN)
    started_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["pool", "seen_at"], condition=Q(stopped_at=None), name="worker_live")]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


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
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="+")
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+")
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
    refused_checkpoints = ArrayField(models.CharField(max_length=200), default=list)
    # What the claim charged to the lane's tag, at which weight, what really ran, and whether the next claim has
    # put the difference right.
    charged_gpu_ms = models.BigIntegerField()
    charged_weight = models.FloatField()
    gpu_ms = models.BigIntegerField(default=0)
    corrected = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job"], condition=Q(ended_at=None), name="one_live_attempt_per_job"
            )
        ]
        indexes = [
            # The reaper: live attempts by the end of their lease.
            models.Index(fields=["lease_expires_at"], condition=Q(ended_at=None), name="attempt_lease"),
            # The claim: ended attempts whose estimate it still has to put right.
            models.Index(
                fields=["lane"],
                condition=Q(ended_at__isnull=False, corrected=False),
                name="attempt_to_correct",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.fence} of {self.job_id}"


class Asset(models.Model):
    """A file that may be delivered: exactly the bytes whose digest was signed."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="assets")
    fence = models.BigIntegerField()
    role = models.CharField(max_length=12, default="video")
    path = models.CharField(max_length=300, unique=True)
    media_type = models.CharField(max_length=60)
    bytes = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "role", "fence"], name="one_asset_per_role_and_fence")
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
