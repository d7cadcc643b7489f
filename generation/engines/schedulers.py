"""The schedulers whose state this engine can put into a checkpoint and take out again, bit for bit."""

import copy

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SchedulerMixin, UniPCMultistepScheduler

from generation.engines.errors import UnsupportedModel

EULER = FlowMatchEulerDiscreteScheduler.__name__
UNIPC = UniPCMultistepScheduler.__name__


def choose(own: SchedulerMixin, name: str | None) -> SchedulerMixin:
    """The model's own scheduler, or the one called `name` walking the same sigmas; refuses what cannot be resumed."""
    if name not in (None, EULER, UNIPC):
        raise UnsupportedModel(f"There is no scheduler {name}; choose {EULER} or {UNIPC}.")
    scheduler = own
    if name == UNIPC and isinstance(own, FlowMatchEulerDiscreteScheduler):
        scheduler = UniPCMultistepScheduler(
            num_train_timesteps=own.config.num_train_timesteps,
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=own.config.shift,
        )
    elif name == EULER and isinstance(own, UniPCMultistepScheduler):
        if own.config.prediction_type != "flow_prediction" or not own.config.use_flow_sigmas:
            raise UnsupportedModel(
                f"The model predicts {own.config.prediction_type}; {EULER} needs a flow prediction."
            )
        scheduler = FlowMatchEulerDiscreteScheduler(
            num_train_timesteps=own.config.num_train_timesteps, shift=own.config.flow_shift
        )
    _check(scheduler)
    return scheduler


def choose_own(own: SchedulerMixin, name: str | None) -> SchedulerMixin:
    """The model's own Euler scheduler whose shift depends on the clip's size; refuses every other."""
    if name not in (None, EULER) or not isinstance(own, FlowMatchEulerDiscreteScheduler):
        raise UnsupportedModel(f"This model runs with its own {EULER} only.")
    if own.config.get("stochastic_sampling"):
        raise UnsupportedModel(f"{EULER} draws noise at every step outside the clip's seed.")
    return own


def fresh(template: SchedulerMixin, steps: int, device: torch.device, **timing: object) -> SchedulerMixin:
    """A scheduler of one clip's own, set to exactly `steps` steps and standing before the first.

    `timing` are sigmas and the shift by size, for a model that has its own.
    """
    scheduler = copy.deepcopy(template)
    scheduler.set_timesteps(steps, device=device, **timing)
    scheduler.set_begin_index(0)
    if len(scheduler.timesteps) != steps:
        raise UnsupportedModel(
            f"{type(scheduler).__name__} makes {len(scheduler.timesteps)} steps of {steps}."
        )
    return scheduler


def snapshot(scheduler: SchedulerMixin) -> tuple[dict[str, torch.Tensor], dict]:
    """What the scheduler carries from step to step beside its place: tensors by name, and plain values.

    Euler carries nothing. UniPC carries its last sample, the last model outputs and the orders it has reached.
    """
    if not isinstance(scheduler, UniPCMultistepScheduler) or scheduler.last_sample is None:
        return {}, {}
    tensors = {"scheduler.last_sample": scheduler.last_sample}
    for place, output in enumerate(scheduler.model_outputs):
        if output is not None:
            tensors[f"scheduler.model_outputs.{place}"] = output
    return tensors, {"lower_order_nums": scheduler.lower_order_nums, "this_order": scheduler.this_order}


def restore(scheduler: SchedulerMixin, index: int, tensors: dict[str, torch.Tensor], values: dict) -> None:
    """Put a fresh scheduler where `snapshot` left another, before step `index`. The tensors are on its device."""
    scheduler.set_begin_index(index)
    if not isinstance(scheduler, UniPCMultistepScheduler) or index == 0:
        return
    order = scheduler.config.solver_order
    scheduler.last_sample = tensors["scheduler.last_sample"]
    scheduler.model_outputs = [tensors.get(f"scheduler.model_outputs.{place}") for place in range(order)]
    # Only a nested solver reads the timestep list, and _check refuses one; it is kept in step all the same.
    places = range(index - order, index)
    scheduler.timestep_list = [scheduler.timesteps[place] if place >= 0 else None for place in places]
    scheduler.lower_order_nums = values["lower_order_nums"]
    scheduler.this_order = values["this_order"]


def clean_latent(
    scheduler: SchedulerMixin, index: int, before: torch.Tensor, prediction: torch.Tensor
) -> torch.Tensor:
    """The clip as the step just taken foresaw it: `before` is the latent that step `index` started from.

    Euler's model predicts the flow (noise minus clean latent), so clean = before - sigma * prediction; UniPC has
    already converted its model's output.
    """
    if isinstance(scheduler, UniPCMultistepScheduler):
        return scheduler.model_outputs[-1]
    return before.float() - scheduler.sigmas[index] * prediction.float()


def _check(scheduler: SchedulerMixin) -> None:
    name = type(scheduler).__name__
    if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler):
        raise UnsupportedModel(f"{name} cannot be resumed from a checkpoint; use {EULER} or {UNIPC}.")
    if scheduler.config.get("stochastic_sampling"):
        raise UnsupportedModel(
            f"{name} draws noise at every step outside the clip's seed; it cannot be repeated."
        )
    if scheduler.config.get("use_dynamic_shifting"):
        raise UnsupportedModel(f"{name} with dynamic shifting is not what the bare pipeline runs.")
    if isinstance(scheduler, UniPCMultistepScheduler):
        if not scheduler.config.predict_x0:
            raise UnsupportedModel(f"{name} without predict_x0 foresees no clean latent.")
        if scheduler.config.solver_p is not None:
            raise UnsupportedModel(f"{name} with a nested solver has state that is not in the checkpoint.")
