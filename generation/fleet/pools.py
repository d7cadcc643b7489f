"""What runs jobs: pools, their lanes with live settings, the models that may serve, and the worker processes."""

import uuid
from functools import cached_property

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now

from accounts.models import Override
from generation.revisions import model_facts


class Kind(models.TextChoices):
    CLIP = "clip"
    CODE = "code"


class Pool(models.Model):
    """Machines of one kind that serve one kind of job; `slug` is also the name of its Celery queue."""

    slug = models.SlugField(primary_key=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    machine = models.CharField(max_length=120, blank=True)
    # Jobs of another precision are not sent here; "" takes any.
    precision = models.CharField(max_length=8, blank=True, db_default="")
    # Where an OpenAI-compatible endpoint behind this pool tells its own load (vLLM: …/metrics); "" where none is.
    metrics_url = models.CharField(max_length=300, blank=True, db_default="")
    # The least tag among backlogged lanes at the last claim: a lane that returns from idleness is lifted to it.
    virtual_time = models.FloatField(default=0)
    # Micro-units that may run at once, a weighted semaphore; NULL is no limit. What runs is counted by the database.
    capacity_units_micro = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(capacity_units_micro__gt=0), name="pool_capacity_positive")
        ]

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
    # Micro-units that one organization may have running in the lane; NULL is no limit.
    max_units_micro = models.BigIntegerField(null=True)
    preemptible = models.BooleanField(default=False)
    # The order in which a tier's jobs try the pools of their kind: the least first. See scheduling/routing.py.
    preference = models.PositiveSmallIntegerField(db_default=0)
    # Virtual time in GPU-milliseconds ÷ weight, and the same among the organizations inside the lane.
    tag = models.FloatField(default=0)
    organization_virtual_time = models.FloatField(default=0)
    # GPU-milliseconds of the last minutes, decayed: what the floor is measured against.
    recent_gpu_ms = models.FloatField(default=0)
    recent_at = models.DateTimeField(null=True)
    # How far below the pool's virtual time it may start: what its corrections gave back (fair_share.put_right).
    owed = models.FloatField(db_default=0.0)
    # The caps under which the organizations' `at_cap` was decided; under others the next claim decides anew.
    at_cap_under = models.CharField(max_length=60, blank=True, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "tier"], name="one_lane_per_pool_and_tier"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="lane_weight_positive"),
            models.CheckConstraint(condition=Q(floor__gte=0, floor__lt=1), name="lane_floor_is_a_share"),
            models.CheckConstraint(condition=Q(max_units_micro__gt=0), name="lane_units_cap_positive"),
        ]

    def __str__(self) -> str:
        return self.slug


class LaneOverride(Override):
    """One live change of a lane's weight, floor, max_running or max_units_micro; the effective value is derived."""

    FIELDS = ("weight", "floor", "max_running", "max_units_micro")
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                condition=Q(field__in=("weight", "floor", "max_running", "max_units_micro")),
                name="lane_override_field_known",
            ),
        ]
        indexes = [
            # Read inside every claim: the overrides that stand.
            models.Index(fields=["lane"], condition=Q(removed_at=None), name="lane_override_standing")
        ]


class LaneOrganization(models.Model):
    """An organization's place inside a lane. The counts are kept by the trigger on jobs, never by Python.

    `at_cap` keeps those that may not run more out of the index that a claim picks from, so that it never steps over
    them. A claim sets it; the trigger takes it back as soon as one of the organization's jobs ends or is cancelled.
    """

    # The unique pair below finds a lane's places as well.
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="organizations", db_index=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+")
    tag = models.FloatField(default=0)
    owed = models.FloatField(db_default=0.0)
    waiting = models.IntegerField(default=0)
    running = models.IntegerField(default=0)
    running_units_micro = models.BigIntegerField(db_default=0)
    at_cap = models.BooleanField(db_default=False)
    # An index over the count itself would be written anew with every job that comes.
    has_waiting = models.GeneratedField(
        expression=Q(waiting__gt=0), output_field=models.BooleanField(), db_persist=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lane", "organization"], name="one_place_per_lane"),
            models.CheckConstraint(
                condition=Q(waiting__gte=0, running__gte=0), name="lane_counts_not_negative"
            ),
            models.CheckConstraint(condition=Q(running_units_micro__gte=0), name="lane_units_not_negative"),
        ]
        indexes = [
            # The claim's pick: the least tag among those that wait and are not at their cap, LIMIT 1.
            models.Index(
                fields=["lane", "tag", "id"],
                condition=Q(has_waiting=True, at_cap=False),
                name="lane_organization_next",
            ),
            # The units that run in a pool with a capacity.
            models.Index(
                fields=["lane"],
                include=["running_units_micro"],
                condition=Q(running__gt=0),
                name="lane_organization_running",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} in {self.lane_id}"


class RegisteredModel(models.Model):
    """A revision of a model that may serve requests, and what it can do.

    Triggers of migration 0006 keep its way: it begins as candidate, becomes active only with a passed deploy gate of
    its own, and no job is written for a revision that is not active.
    """

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
    # Other pools of its kind whose workers load it too; see generation/scheduling/routing.py.
    also_pools = ArrayField(models.SlugField(), db_default=Value([], ArrayField(models.SlugField())))
    folder = models.CharField(max_length=400, help_text="A folder, relative to the project or absolute.")
    description = models.TextField(blank=True)
    precision = models.CharField(max_length=8, default="fp32", help_text="the full one: bf16 or fp32")
    facts = models.JSONField(default=dict, help_text="what it can do; read through `can`")
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

    @cached_property
    def can(self) -> model_facts.ClipFacts | model_facts.CodeFacts:
        """`facts`, typed and checked; raises `FactsInvalid` for a row that was written wrongly."""
        return model_facts.read(self.kind, self.facts, self.precision)


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
    # Who wanted it so, since when, why, and until when; worker_actions.py writes them with the audit entry.
    desired_at = models.DateTimeField(db_default=Now())
    desired_by = models.CharField(max_length=254, blank=True, db_default="")
    desired_reason = models.TextField(blank=True, db_default="")
    desired_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["pool", "seen_at"], condition=Q(stopped_at=None), name="worker_live")]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class ModelLoad(models.Model):
    """What a worker process has in memory, or why it could not load it. Rows of stopped workers mean nothing."""

    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="loads")
    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="loads")
    precision = models.CharField(max_length=8)
    seconds = models.FloatField(default=0)
    problem = models.TextField(blank=True, help_text="empty where it is loaded")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["worker", "model", "precision"], name="one_load_per_worker")
        ]
        indexes = [models.Index(fields=["model", "precision"], name="model_load_of_model")]

    def __str__(self) -> str:
        return f"{self.model_id} at {self.precision} in {self.worker_id}"
