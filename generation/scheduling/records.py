"""Live settings of pools and of the auto-raise rule, what endpoints say of themselves, and what people were told.

Settings are a baseline row and overrides that expire (`accounts.overrides`); an override is never deleted, only
noted as removed, so that the rows are their own history.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Override
from generation.fleet.pools import Lane, Pool


class PoolSettings(models.Model):
    """The baseline of a pool's live settings. Times are seconds."""

    FIELDS = ("preempt_after_s", "most_preemptions", "soon_s", "most_wait_s", "gpu_hour_micro_dollars")

    pool = models.OneToOneField(Pool, primary_key=True, on_delete=models.CASCADE, related_name="settings")
    # How long a job of a lane that is not preemptible waits before a running one of a preemptible lane gives way.
    preempt_after_s = models.FloatField(default=20.0)
    # How often one job may be asked to; 0 switches preemption off.
    most_preemptions = models.PositiveSmallIntegerField(default=0)
    # A device that should be free within this is waited for instead.
    soon_s = models.FloatField(default=2.0)
    # A request that would wait longer is refused as overload; 0 refuses none.
    most_wait_s = models.FloatField(default=0.0)
    # What an hour of one of its devices costs, in micro-dollars; costs/gpu_prices.py reads the history.
    gpu_hour_micro_dollars = models.BigIntegerField(default=3_500_000, db_default=3_500_000)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="pool_settings_not_negative",
                condition=Q(preempt_after_s__gt=0, soon_s__gte=0, most_wait_s__gte=0),
            ),
            models.CheckConstraint(
                name="pool_gpu_price_not_negative", condition=Q(gpu_hour_micro_dollars__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return f"settings of {self.pool_id}"


class PoolOverride(Override):
    """One live change of a pool's settings, of the capacity on its own row, or a pause (claim_sql.py reads both)."""

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                condition=Q(
                    field__in=(
                        "preempt_after_s",
                        "most_preemptions",
                        "soon_s",
                        "most_wait_s",
                        "gpu_hour_micro_dollars",
                        "capacity_units_micro",
                        "paused",
                    )
                ),
                name="pool_override_field_known",
            ),
        ]
        indexes = [models.Index(fields=["pool"], condition=Q(removed_at=None), name="pool_override_standing")]


class RaiseRule(models.Model):
    """The auto-raise rule of a lane, its baseline: while p95 wait is over the threshold its weight rises by steps."""

    FIELDS = ("enabled", "threshold_s", "step", "limit", "pause_s", "hold_s", "quiet_s")

    lane = models.OneToOneField(Lane, primary_key=True, on_delete=models.CASCADE, related_name="raise_rule")
    enabled = models.BooleanField(default=False)
    threshold_s = models.FloatField(default=30.0)
    step = models.FloatField(default=1.0)  # weight added at a time
    limit = models.FloatField(default=6.0)  # the largest weight it gives
    pause_s = models.FloatField(default=30.0)  # how long a step may show its effect before the next
    hold_s = models.FloatField(default=300.0)  # how long a raise stands after the last look that wanted it
    quiet_s = models.FloatField(
        default=1800.0
    )  # how long it does nothing after an operator took a raise back

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="raise_rule_positive",
                condition=Q(
                    threshold_s__gt=0, step__gt=0, limit__gt=0, pause_s__gt=0, hold_s__gt=0, quiet_s__gte=0
                ),
            )
        ]

    def __str__(self) -> str:
        return f"auto-raise of {self.lane_id}"


class RaiseRuleOverride(Override):
    """One live change of a lane's auto-raise rule."""

    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="raise_rule_overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                condition=Q(
                    field__in=("enabled", "threshold_s", "step", "limit", "pause_s", "hold_s", "quiet_s")
                ),
                name="raise_rule_override_field_known",
            ),
        ]
        indexes = [
            models.Index(fields=["lane"], condition=Q(removed_at=None), name="raise_rule_override_standing")
        ]


class EndpointLoad(models.Model):
    """What an OpenAI-compatible endpoint last said of its own queue and cache; one row per pool that has one."""

    pool = models.OneToOneField(
        Pool, primary_key=True, on_delete=models.CASCADE, related_name="endpoint_load"
    )
    at = models.DateTimeField(db_default=Now())
    running = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    cache_share = models.FloatField(default=0)  # of one
    # What may run at once while it is full; NULL where it has room. It counts for 15 s (claim_sql.py).
    capacity_units_micro = models.BigIntegerField(null=True)
    problem = models.TextField(blank=True, default="")  # why it could not be read; "" where it was
    # Prompt tokens looked up in its prefix cache since it started, and those found; NULL where it doesn't say.
    prefix_queries = models.BigIntegerField(null=True)
    prefix_hits = models.BigIntegerField(null=True)
    away_at = models.DateTimeField(null=True)  # when it last could not be reached

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="endpoint_cache_is_a_share", condition=Q(cache_share__gte=0, cache_share__lte=1)
            ),
            models.CheckConstraint(
                name="endpoint_capacity_positive", condition=Q(capacity_units_micro__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return f"load of {self.pool_id}"

    @property
    def prefix_share(self) -> float | None:
        """Of the prompt tokens that the server has read since its start, those found in its prefix cache."""
        return self.prefix_hits / self.prefix_queries if self.prefix_queries else None


class ToldEta(models.Model):
    """The first estimate that was made for a waiting job: seconds from `at` to its end, with their interval."""

    job = models.OneToOneField(
        "generation.Job", primary_key=True, on_delete=models.CASCADE, related_name="told_eta"
    )
    at = models.DateTimeField(db_default=Now())
    position = models.PositiveIntegerField()
    eta_s = models.FloatField()
    low_s = models.FloatField()
    high_s = models.FloatField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="told_eta_in_its_interval",
                condition=Q(low_s__gte=0, low_s__lte=F("eta_s"), eta_s__lte=F("high_s")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.eta_s:.0f} s for {self.job_id}"
