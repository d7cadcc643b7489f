"""Models: every revision with what it can do and what was measured, and the changes of its roll-out."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from generation.models import RegisteredModel
from generation.revisions import gate_requests, model_board
from generation.revisions.rollout_actions import ACTIONS, ModelAction

CHANGES_SHOWN = 12
NAMES = {action.name: action for action in ACTIONS.values()}
DONE = {
    "promote": "{} serves new requests now.",
    "quarantine": "{} is quarantined: its open jobs end uncharged, workers unload it.",
    "retire": "{} is retired: it takes no new requests.",
}


@require_GET
@staff(StaffRole.Role.OPERATOR)
def models(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?change=promote&model=<id>` opens the panel that says what it would do and asks why."""
    return _page(request, request.GET.get("change", ""), request.GET.get("model", ""))


@require_POST
@staff(StaffRole.Role.OPERATOR)
def change(request: HttpRequest, person: User, model_id: int, verb: str) -> HttpResponse:
    """Promote, quarantine or retire a revision."""
    reason = request.POST.get("reason", "")
    try:
        actions.perform(_action(verb, model_id), person, reason)
    except ApiError as error:
        return _page(request, verb, str(model_id), error, reason)
    model = RegisteredModel.objects.get(pk=model_id)
    messages.success(request, DONE[verb].format(model))
    return redirect("operate_models")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def gate(request: HttpRequest, person: User, model_id: int) -> HttpResponse:
    """Ask a worker of its pool to put the revision through the deploy gate."""
    model = get_object_or_404(RegisteredModel, pk=model_id)
    try:
        gate_requests.send(model, person)
        messages.info(
            request, f"A worker puts {model} through the gate; the result appears here in a minute or so."
        )
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("operate_models")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action__in=NAMES)
    model_id = int(entry.target.partition(":")[2])
    try:
        undone = actions.revert(NAMES[entry.action](model_id), entry, person, request.POST.get("reason", ""))
        model = RegisteredModel.objects.get(pk=model_id)
        messages.success(request, f"{model} is {undone.after['status']} again.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("operate_models")


def _action(verb: str, model_id: int) -> ModelAction:
    if verb not in ACTIONS:
        raise ApiError("not_found", f"There is no change {verb!r:.40} of a model.", param="change")
    return ACTIONS[verb](model_id)


def _page(
    request: HttpRequest, verb: str, model_id: str, error: ApiError | None = None, reason: str = ""
) -> HttpResponse:
    page = {"rows": model_board.board(), "changes": _changes(), "error": error, "reason": reason}
    if verb and model_id.isdecimal():
        page |= _panel(verb, int(model_id))
        page["error"] = error or page.get("refusal")
    return render(request, "console/operate_models.html", page, status=error.status if error else 200)


def _panel(verb: str, model_id: int) -> dict:
    """The change that is asked about, with its preview, or why it can't be made."""
    action = _action(verb, model_id)
    panel = {"verb": verb, "action": action, "editing": RegisteredModel.objects.filter(pk=model_id).first()}
    try:
        return panel | {"preview": action.preview()}
    except ApiError as refusal:
        return panel | {"refusal": refusal}


def _changes() -> list[dict]:
    """The newest changes; the newest of each revision can be undone, while nothing has undone it. Two queries."""
    names = [*NAMES, *(f"{name}.undo" for name in NAMES)]
    entries = list(AuditEntry.objects.filter(action__in=names).order_by("-at", "-id")[:CHANGES_SHOWN])
    ids = {int(entry.target.partition(":")[2]) for entry in entries}
    known = {model.pk: model for model in RegisteredModel.objects.filter(pk__in=ids)}
    changes, seen = [], set()
    for entry in entries:
        pk = int(entry.target.partition(":")[2])
        undoes = entry.action.endswith(".undo")
        changes.append(
            {
                "entry": entry,
                "model": known.get(pk),
                "verb": entry.action.removesuffix(".undo").rpartition(".")[2],
                "undoes": undoes,
                "stands": bool(entry.undo) and not undoes and pk not in seen,
            }
        )
        seen.add(pk)
    return changes
