"""What was measured of a model, where a page tells of one of its jobs."""

from django import template

from generation.evaluation import effects
from generation.models import Job

register = template.Library()


@register.simple_tag
def low_precision_effect(job: Job) -> dict:
    """Of the precision that the job ran at, against the full one: `speed` (times as fast), `low` and `full` (shares of
    prompts matched in everything). Empty where nothing comparable was measured; one query."""
    variants = effects.of([job.model])[job.model_id].variants
    plain = {variant.precision: variant for variant in variants if not variant.options}
    low, full = plain.get(job.spec.get("precision")), plain.get(job.model.precision)
    if low is None or full is None or low.speed is None or full.prompts is None or low.prompts is None:
        return {}
    return {"speed": low.speed, "low": low.rates["all"], "full": full.rates["all"]}
