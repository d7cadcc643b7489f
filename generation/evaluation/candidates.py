"""Candidates that ship with the repository go through the deploy gate on the first worker that could serve them."""

import logging

from generation import registry
from generation.evaluation import deploy
from generation.models import RegisteredModel
from generation.revisions import loading, rollout

logger = logging.getLogger(__name__)

AUTHOR = "the first worker"


def admit(pool_slug: str) -> list[RegisteredModel]:
    """Gate what waits in a pool, and promote what passes; those that serve now. The old revision serves meanwhile.

    Only shipped models: what an operator registered is promoted by an operator.
    """
    shipped = [model.folder for model in registry.SHIPPED]
    waiting = RegisteredModel.objects.filter(status="candidate", pool=pool_slug, folder__in=shipped)
    return [model for model in waiting.order_by("pk") if _admit(model)]


def _admit(model: RegisteredModel) -> bool:
    run = deploy.run(model, loading.load, AUTHOR)
    if not run.passed:
        why = run.problem or ", ".join(rollout.missed(run))
        logger.error("the deploy gate keeps a revision out", extra={"model": str(model), "why": why})
        return False
    promoted = rollout.promote_by_itself(model, run, AUTHOR)
    logger.info(
        "deploy gate passed", extra={"model": str(model), "seconds": run.seconds, "promoted": promoted}
    )
    return promoted
