"""Candidates that ship with the repository go through the deploy gate on the first worker that could serve them.

A signer that gives no answer in time says nothing about a revision: at a start everything is busy. The gate is tried
again then, or an installation would begin its days without a model.
"""

import logging
import time

from generation import registry
from generation.evaluation import deploy
from generation.models import Evaluation, RegisteredModel
from generation.revisions import loading, rollout
from safety.credentials.provenance import SigningUnavailable

logger = logging.getLogger(__name__)

AUTHOR = "the first worker"
TRIES, PAUSE_S = 6, 5.0


def admit(pool_slug: str) -> list[RegisteredModel]:
    """Gate what waits in a pool, and promote what passes; those that serve now. The old revision serves meanwhile.

    Only shipped models: what an operator registered is promoted by an operator.
    """
    shipped = [model.folder for model in registry.SHIPPED]
    waiting = RegisteredModel.objects.filter(status="candidate", pool=pool_slug, folder__in=shipped)
    return [model for model in waiting.order_by("pk") if _admit(model)]


def _admit(model: RegisteredModel) -> bool:
    run = _gated(model)
    if not run.passed:
        why = run.problem or ", ".join(rollout.missed(run))
        logger.error("the deploy gate keeps a revision out", extra={"model": str(model), "why": why})
        return False
    promoted = rollout.promote_by_itself(model, run, AUTHOR)
    logger.info(
        "deploy gate passed", extra={"model": str(model), "seconds": run.seconds, "promoted": promoted}
    )
    return promoted


def _gated(model: RegisteredModel) -> Evaluation:
    """The first run that says something about the revision, or the last one."""
    run = deploy.run(model, loading.load, AUTHOR)
    for _ in range(TRIES - 1):
        if not run.problem.startswith(SigningUnavailable.__name__):
            break
        logger.warning("the deploy gate is tried again", extra={"model": str(model), "why": run.problem})
        time.sleep(PAUSE_S)
        run = deploy.run(model, loading.load, AUTHOR)
    return run
