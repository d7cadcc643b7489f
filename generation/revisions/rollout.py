"""The way of a revision: candidate → active → quarantined or retired, and what that means for its jobs.

Every change of status happens here, with the rows of the model's name locked in one order. Waiting jobs keep the
revision that they were quoted with: when it is retired they are still made; when it is quarantined they end, uncharged,
because what a quarantined revision makes may not be delivered and another revision was never quoted.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.errors import ApiError
from generation import finalization, streams
from generation.finalization import ChangedMeanwhile
from generation.models import Attempt, Evaluation, Job, RegisteredModel, State

logger = logging.getLogger(__name__)

Status = RegisteredModel.Status
# Migration 0006 holds a candidate to the same age.
GATE_STANDS = timedelta(days=7)
# In review a person decides; what is delivered is withdrawn by trust & safety, not by a roll-out.
ENDS_WITH_ITS_REVISION = (State.QUEUED, State.RUNNING, State.FINISHING, State.HELD)
WITHDRAWN = "the model revision that it was quoted with was withdrawn"


def locked(model_id: int) -> tuple[RegisteredModel, list[RegisteredModel]]:
    """Inside a transaction: the revision, and every revision of its name, locked. Raises `ApiError` not_found."""
    name = RegisteredModel.objects.filter(pk=model_id).values_list("name", flat=True).first()
    rows = list(RegisteredModel.objects.select_for_update(no_key=True).filter(name=name).order_by("pk"))
    for row in rows:
        if row.pk == model_id:
            return row, rows
    raise ApiError("not_found", "There is no such model revision.", param="model")


def gate(model: RegisteredModel) -> Evaluation | None:
    """The newest deploy gate of exactly this revision, passed or not."""
    runs = Evaluation.objects.filter(model=model, suite=Evaluation.Suite.DEPLOY)
    return runs.order_by("-at", "-pk").first()


def require_gate(model: RegisteredModel, now: datetime) -> None:
    """The newest gate passed, and for a candidate recently. Raises `ApiError` not_ready that says what to do."""
    run = gate(model)
    if run is None:
        message = f"{model} has not been through the deploy gate. Run it first."
    elif not run.passed:
        below = ", ".join(missed(run)) or run.problem
        message = (
            f"{model} did not pass the deploy gate ({below[:200]}). Run it again or bring another revision."
        )
    elif model.status == Status.CANDIDATE and run.at < now - GATE_STANDS:
        message = f"The deploy gate of {model} is older than {GATE_STANDS.days} days. Run it again."
    else:
        return
    raise ApiError("not_ready", message, param="model")


def missed(run: Evaluation) -> list[str]:
    """The figures below their floors, in words."""
    return [
        f"{name} {run.figures.get(name, 'missing')} below {floor:g}"
        for name, floor in run.floors.items()
        if run.figures.get(name, float("-inf")) < floor
    ]


def activate(model_id: int, now: datetime) -> tuple[RegisteredModel, RegisteredModel | None]:
    """Inside a transaction: make it the one that serves; the revision, and the one that served until now."""
    model, rows = locked(model_id)
    if model.status not in (Status.CANDIDATE, Status.RETIRED):
        raise ApiError(
            "not_ready", f"{model} is {model.status}; only a candidate or a retired one is promoted."
        )
    require_gate(model, now)
    previous = next((row for row in rows if row.status == Status.ACTIVE), None)
    if previous is not None:
        move(previous, Status.RETIRED)
    move(model, Status.ACTIVE)
    return model, previous


def move(model: RegisteredModel, status: str) -> None:
    """Change the status of a row that is locked; the database refuses a way that there is not."""
    RegisteredModel.objects.filter(pk=model.pk).update(status=status)
    model.status = status


def promote_by_itself(model: RegisteredModel, run: Evaluation, author: str) -> bool:
    """A shipped revision whose gate has passed starts to serve; False where another promotion came first."""
    with transaction.atomic():
        current, _ = locked(model.pk)
        if current.status != Status.CANDIDATE:
            return False
        _, previous = activate(model.pk, run.at)
        audit.record(
            actor=author,
            action="model.promote",
            target=f"model:{model.pk}",
            reason=f"shipped, and evaluation {run.pk} passed",
            before={"status": Status.CANDIDATE, "active": str(previous) if previous else None},
            after={"status": Status.ACTIVE, "active": str(model)},
            undo={"previous": previous.pk if previous else None},
        )
    return True


def end_quarantined_jobs(limit: int = 200) -> int:
    """End the open jobs of quarantined revisions, uncharged; upkeep calls it. The number that were ended."""
    doomed = Job.objects.filter(state__in=ENDS_WITH_ITS_REVISION, model__status=Status.QUARANTINED)
    return sum(_end(job_id) for job_id in doomed.order_by("queued_at").values_list("pk", flat=True)[:limit])


def _end(job_id) -> bool:
    """One job, with the attempt that may hold it: its worker finds the lease gone and stops without a word."""
    try:
        with transaction.atomic():
            attempts = Attempt.objects.select_for_update(of=("self",)).filter(job=job_id, ended_at=None)
            ids = [attempt.pk for attempt in attempts]
            job = Job.objects.select_related("model").get(pk=job_id)
            if job.state not in ENDS_WITH_ITS_REVISION or job.model.status != Status.QUARANTINED:
                return False
            Attempt.objects.filter(pk__in=ids).update(
                ended_at=Now(), outcome=Attempt.Outcome.FAILED, detail=WITHDRAWN
            )
            finalization.give_up(job, State.FAILED, "model_withdrawn", WITHDRAWN)
    except ChangedMeanwhile:
        return False
    logger.info("ended with its revision", extra={"job": str(job_id), "model": str(job.model)})
    streams.announce(job_id, "state", {"state": State.FAILED})
    return True
