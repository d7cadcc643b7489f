"""Evaluations: what the deploy gate and the weekly run found, against the last; labelling clips; the online bridge."""

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from billing.charts import Chart, Series, tick
from generation.evaluation import board as evaluation_board
from generation.evaluation import labels as evaluation_labels
from generation.evaluation.case_records import EvaluationRun
from generation.evaluation.labels import CalibrateCoherence

ROLE = StaffRole.Role.TRUST_SAFETY
TARGET = 3.5
CHANGES_SHOWN = 5


@require_GET
@staff(ROLE)
def evaluations(request: HttpRequest, person: User) -> HttpResponse:
    """The page."""
    return _page(request)


@require_POST
@staff(ROLE)
def calibrate(request: HttpRequest, person: User) -> HttpResponse:
    """Take the threshold that the labels give."""
    try:
        actions.perform(CalibrateCoherence(), person, request.POST.get("reason", ""))
    except ApiError as error:
        return _page(request, error)
    messages.success(request, "The threshold is in force from the next weekly run on.")
    return redirect("safety_evaluations")


@require_POST
@staff(ROLE)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """The threshold before counts again."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=CalibrateCoherence.name)
    try:
        actions.revert(CalibrateCoherence(), entry, person, request.POST.get("reason", ""))
    except ApiError as error:
        return _page(request, error)
    messages.success(request, "The threshold is as it was.")
    return redirect("safety_evaluations")


@require_GET
@staff(ROLE)
def labelling(request: HttpRequest, person: User) -> HttpResponse:
    """The newest clip that this person has not labelled, with two buttons."""
    coherent, broken = evaluation_labels.errors_by_label()
    page = {
        "case": evaluation_labels.next_for(person),
        "coherent": len(coherent),
        "broken": len(broken),
        "least": evaluation_labels.LEAST_OF_EACH,
    }
    return render(request, "console/safety/evaluations_label.html", page)


@require_POST
@staff(ROLE)
def label(request: HttpRequest, person: User, case_id: int) -> HttpResponse:
    """Keep one label, and go on to the next clip."""
    said = request.POST.get("said")
    if said not in ("coherent", "broken"):
        messages.error(request, "Say coherent or broken.")
        return redirect("safety_labelling")
    try:
        evaluation_labels.label(case_id, person, said == "coherent")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("safety_labelling")


@require_GET
@staff(ROLE)
def clip(request: HttpRequest, person: User, case_id: int) -> FileResponse:
    """A clip that an evaluation made of a golden prompt."""
    case = get_object_or_404(evaluation_labels.clips(), pk=case_id)
    if not default_storage.exists(case.path):
        raise Http404("The file is gone.")
    return FileResponse(default_storage.open(case.path), content_type="video/mp4")


def _page(request: HttpRequest, error: ApiError | None = None) -> HttpResponse:
    board = evaluation_board.board(timezone.now())
    weekly = [run for run in board.runs if run.suite == EvaluationRun.Suite.WEEKLY and run.finished_at]
    names = (CalibrateCoherence.name, f"{CalibrateCoherence.name}.undo")
    page = {
        "board": board,
        "charts": _charts(weekly) if weekly else [],
        "checks": board.gate.figures.get("checks", []) if board.gate else [],
        "preview": _preview()
        if min(board.coherent, board.broken) >= evaluation_labels.LEAST_OF_EACH
        else None,
        "least": evaluation_labels.LEAST_OF_EACH,
        "changes": AuditEntry.objects.filter(action__in=names).order_by("-id")[:CHANGES_SHOWN],
        "error": error,
    }
    return render(request, "console/safety/evaluations.html", page, status=error.status if error else 200)


def _preview() -> actions.Preview | None:
    try:
        return CalibrateCoherence().preview()
    except ApiError:  # a label was changed meanwhile: the page says how many there are
        return None


def _charts(runs: list[EvaluationRun]) -> list[Chart]:
    """Alignment and coherence over the weekly runs, short and full apart."""
    asked = (
        ("alignment", "Prompt alignment", "of 5", {"value": TARGET, "label": "target 3.5"}),
        ("frechet", "Fréchet distance to the reference", "distance", None),
        ("warp_error", "Warp error", "of the range", None),
    )
    return [
        Chart(f"evaluation-{name}", title, unit, _series(runs, name), kind="line", target=target)
        for name, title, unit, target in asked
    ]


def _series(runs: list[EvaluationRun], name: str) -> list[Series]:
    found = []
    for title, short in (("full", False), ("short", True)):
        own = [run for run in reversed(runs) if run.short == short]
        if own:
            moments = [tick(run.finished_at) for run in own]
            found.append(Series(title, moments, [run.figures.get(name) for run in own]))
    return found
