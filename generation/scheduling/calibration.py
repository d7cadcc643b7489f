"""Calibrating compute units: what finished jobs took per unit, and the action that keeps a fit as a dated row."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import ClassVar

from django.db.models import Sum
from django.utils import timezone

from accounts import batch
from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from billing.models import UnitCalibration
from generation.models import Job, RegisteredModel, State
from generation.policy import calibration, cost

# Fits under other rules of weighing say nothing about today's units.
IN_FORCE = """
SELECT DISTINCT ON (c.model) c.model, c.gpu_ms_per_unit
  FROM generation_registeredmodel m JOIN billing_unitcalibration c ON c.model = m.name || '@' || m.revision
 WHERE m.status = 'active' AND m.kind = %s AND c.rule_version = %s AND c.effective_from <= %s
 ORDER BY c.model, c.effective_from DESC
"""
MOST_JOBS = 10_000  # the newest ones; older hardware and revisions say little


def fits(since: datetime) -> dict[str, tuple[calibration.Fit | None, calibration.Fit | None]]:
    """By model: the fit of units to accelerator time, and that of the schedule's own estimates, since a moment.

    The second one has no figure to fit: its errors are those of `estimate_gpu_ms` as it was quoted.
    """
    jobs = (
        Job.objects.filter(state__in=(State.DELIVERED, State.WITHDRAWN), finished_at__gte=since)
        .annotate(took=Sum("attempts__gpu_ms"))
        .order_by("-finished_at")
        .values_list("model__name", "model__revision", "units_micro", "estimate_gpu_ms", "took")[:MOST_JOBS]
    )
    by_model: dict[str, list[tuple[int, int, int]]] = {}
    for name, revision, units, estimate, took in jobs:
        by_model.setdefault(f"{name}@{revision}", []).append((units, estimate, took or 0))
    return {
        model: (
            calibration.fit([calibration.Finished(units, took) for units, _, took in found]),
            _estimates([(estimate, took) for _, estimate, took in found]),
        )
        for model, found in sorted(by_model.items())
    }


def _estimates(found: list[tuple[int, int]]) -> calibration.Fit | None:
    errors = [abs(estimate - took) / took for estimate, took in found if took > 0]
    if len(errors) < calibration.LEAST_SAMPLES:
        return None
    return calibration.Fit(
        1.0, len(errors), calibration.quantile(errors, 0.5), calibration.quantile(errors, 0.9)
    )


def of_active(kind: str, now: datetime) -> batch.Statement:
    """The statement whose rows `gpu_ms` takes: the newest calibration of each active model of a kind."""
    return IN_FORCE, (kind, cost.RULE_VERSION, now)


def gpu_ms(rows: list[tuple], model: RegisteredModel, units_micro: int, otherwise: int) -> int:
    """What the schedule expects of so many units: by the model's calibration, `otherwise` before the first."""
    per_unit = dict(rows).get(str(model))
    return otherwise if per_unit is None else cost.calibrated_gpu_ms(units_micro, per_unit)


def in_force(model: str, now: datetime) -> UnitCalibration | None:
    """The newest calibration of a model at `now`; None before the first."""
    return (
        UnitCalibration.objects.filter(model=model, effective_from__lte=now)
        .order_by("-effective_from")
        .first()
    )


@dataclass
class Calibrate(Action):
    """Keep a fit as the model's calibration: from now on the schedule expects that of its jobs.

    Prices don't change with it: units stay what they are.
    """

    name: ClassVar[str] = "units.calibrate"
    title: ClassVar[str] = "Calibrate compute units"
    role: ClassVar[str] = StaffRole.Role.OPERATOR

    model: str
    fit: calibration.Fit

    @property
    def target(self) -> str:
        return f"model:{self.model}"

    def preview(self) -> Preview:
        before, after = _values(in_force(self.model, timezone.now())), asdict(self.fit)
        sentence = (
            f"A unit of {self.model} will count as {self.fit.gpu_ms_per_unit / 1000:.3g} s of accelerator."
        )
        return Preview(before, after, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        at = timezone.now()
        before = _values(in_force(self.model, at))
        UnitCalibration.objects.create(
            model=self.model,
            rule_version=cost.RULE_VERSION,
            effective_from=at,
            author=actor.email,
            reason=reason.strip(),
            **asdict(self.fit),
        )
        return {"before": before, "after": asdict(self.fit), "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Calibrations are dated rows: calibrate anew instead.")


def _values(row: UnitCalibration | None) -> dict:
    return {} if row is None else {field: getattr(row, field) for field in calibration.Fit.__annotations__}
