"""What a request weighs: its model, the terms it is asked under, compute units, and accelerator time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts import batch, tiers
from accounts.identity import Caller
from accounts.models import TierTerms
from generation import registry, specs
from generation.code.spec import code_spec
from generation.models import Kind, RegisteredModel
from generation.policy import cost
from generation.scheduling import calibration, overload, routing
from generation.specs import ClipSpec, CodeSpec


@dataclass(frozen=True)
class Weighed:
    """A well-formed request with what it weighs: compute units in micro-units, accelerator time in milliseconds."""

    kind: str
    model: RegisteredModel
    terms: TierTerms
    spec: ClipSpec | CodeSpec
    units_micro: int
    gpu_ms: int
    lanes: list[tuple]
    crowd: overload.Crowd


@dataclass(frozen=True)
class _Grounds:
    """What a request is weighed by; rows are read by those whose statements found them."""

    model: RegisteredModel
    terms: TierTerms
    calibrated: list[tuple]
    lanes: list[tuple]
    doubts: list[tuple]
    crowd: overload.Crowd


def weigh_clip(caller: Caller, fields: Mapping[str, Any], now: datetime) -> Weighed:
    grounds = _grounds(caller, fields, Kind.CLIP, now)
    model = grounds.model
    spec = specs.clip_spec(fields, grounds.terms, model)
    weight = cost.ClipWeight(spec.width, spec.height, spec.fps, spec.seconds, spec.steps)
    units = cost.clip_units_micro(weight)
    gpu_ms = cost.clip_gpu_ms(model.gpu_ms_fixed, model.gpu_ms_per_step, spec.steps)
    return _weighed(grounds, spec, units, gpu_ms)


def weigh_code(caller: Caller, fields: Mapping[str, Any], now: datetime) -> Weighed:
    grounds = _grounds(caller, fields, Kind.CODE, now)
    model = grounds.model
    spec = code_spec(fields, grounds.terms, model)
    units = cost.token_units_micro(spec.prompt_tokens + spec.max_tokens)
    gpu_ms = cost.code_gpu_ms(model.gpu_ms_fixed, model.gpu_ms_per_step, spec.max_tokens)
    return _weighed(grounds, spec, units, gpu_ms)


def _weighed(grounds: _Grounds, spec: ClipSpec | CodeSpec, units: int, gpu_ms: int) -> Weighed:
    model = grounds.model
    registry.require_loadable(model, spec.precision, grounds.doubts)
    gpu_ms = calibration.gpu_ms(grounds.calibrated, model, units, gpu_ms)
    return Weighed(model.kind, model, grounds.terms, spec, units, gpu_ms, grounds.lanes, grounds.crowd)


def _grounds(caller: Caller, fields: Mapping[str, Any], kind: str, now: datetime) -> _Grounds:
    """All that a request is weighed by, and what waits where it may go, in one round trip."""
    organization = caller.organization.pk
    models, terms, calibrated, lanes, doubts, *crowd = batch.read(
        [
            registry.active(kind),
            tiers.in_force(organization, now),
            calibration.of_active(kind, now),
            routing.lanes_of(organization, kind, now),
            registry.doubtful(kind),
            *overload.crowd_of(organization, kind, now),
        ]
    )
    model = registry.pick(models, fields.get("model") or None, kind)
    return _Grounds(
        model, tiers.read(terms, organization, now), calibrated, lanes, doubts, overload.Crowd(*crowd)
    )
