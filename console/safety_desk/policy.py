"""Policy: everything in force in one place, the panel that changes it after a look, and the newest changes."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, approvals
from accounts.approvals import Approvable
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, StaffRole, User
from console.operations.expiries import EXPIRIES, expiry
from console.safety_desk import policy_looks
from generation.afterwards import safety_preview
from safety.golden import cases as golden
from safety.models import Category
from safety.policy import board as policy_board
from safety.policy.records import Faces, ReviewLevel
from safety.policy.rule_actions import KINDS
from safety.prefilter.patterns import BadPattern, compile_pattern

ASKED = ("change", "field", "value", "pattern", "category", "reason", "expires", "seen")


@require_GET
@staff(StaffRole.Role.TRUST_SAFETY)
def policy(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?change=threshold:violence&field=block_score` opens the panel, with `&value=` it looks too."""
    return _page(request, person, _given(request.GET))


@require_GET
@staff(StaffRole.Role.TRUST_SAFETY)
def pattern(request: HttpRequest, person: User) -> HttpResponse:
    """What RE2 says of a pattern while it is typed, as a part of the page."""
    return render(request, "console/safety/policy_pattern.html", _tried(request.GET.get("pattern", "")))


@require_POST
@staff(StaffRole.Role.TRUST_SAFETY)
def change(request: HttpRequest, person: User) -> HttpResponse:
    """Apply a change that was looked at, or let it wait for a second person."""
    given = _given(request.POST)
    try:
        action = policy_looks.action_of(given)
        policy_looks.require_seen(given["seen"], person, action)
        expires_at = expiry(given["expires"])
        said = action.preview().sentence
        if isinstance(action, Approvable):
            done = approvals.submit(action, person, given["reason"], expires_at)
        else:
            done = actions.perform(action, person, given["reason"], expires_at)
    except ApiError as error:
        return _page(request, person, given, error)
    if isinstance(done, Approval):
        messages.info(request, f"{done.limit} It waits under Approvals; nothing was changed yet.")
    else:
        messages.success(request, f"Done. {said}")
    return redirect("safety_policy")


@require_POST
@staff(StaffRole.Role.TRUST_SAFETY)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action__in=policy_board.NAMES)
    action = policy_board.NAMES[entry.action].of_entry(entry)
    try:
        actions.revert(action, entry, person, request.POST.get("reason", ""))
        messages.success(request, "Taken back: what held before holds again, from the next look on.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("safety_policy")


@require_GET
@staff(StaffRole.Role.TRUST_SAFETY)
def frame(request: HttpRequest, person: User, scan_id: int, index: int) -> HttpResponse:
    """A frame of a delivered clip, small and blurred on the server."""
    picture = safety_preview.blurred_frame(scan_id, index)
    if picture is None:
        raise Http404("There is no picture of this frame to show.")
    return HttpResponse(picture, content_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


def _given(form: QueryDict) -> dict[str, Any]:
    given: dict[str, Any] = {name: form.get(name, "") for name in ASKED}
    return given | {"kinds": form.getlist("kinds"), "q": form.get("q", ""), "of": form.get("of", "")}


def _page(
    request: HttpRequest, person: User, given: dict[str, Any], error: ApiError | None = None
) -> HttpResponse:
    now = timezone.now()
    rules, found = policy_board.rule_rows(now, given["q"], given["of"])
    page = {
        "thresholds": policy_board.threshold_rows(now),
        "strictest": policy_board.strictest(now),
        "scans": policy_board.scan_rows(now),
        "eyes": policy_board.eyes(),
        "limits": policy_board.limit_rows(now),
        "categories": policy_board.category_rows(now),
        "rules": rules,
        "rules_found": found,
        "rule_categories": Category.choices,
        "changes": policy_board.changes(now),
        "versions": policy_board.versions(),
        "golden": golden.counts(),
        "given": given,
        "error": error,
        "expiries": EXPIRIES,
    }
    if given["change"]:
        page |= _panel(person, given, error)
    status = page["error"].status if page["error"] else 200
    return render(request, "console/safety/policy.html", page, status=status)


def _panel(person: User, given: dict[str, Any], error: ApiError | None) -> dict[str, Any]:
    """The policy that is asked about, and what the proposed value would do, or why it can't be."""
    if given["change"] == policy_looks.NEW_RULE:
        return _rule_panel(person, given, error)
    panel: dict[str, Any] = {"panel": "setting", "error": error}
    try:
        action = policy_looks.action_of({**given, "value": ""})
        panel |= {
            "title": action.label,
            "in_force": action.words(action.in_force()),
            "value_now": action.in_force(),
            "input": _input(given),
        }
        if given["value"]:
            panel["seen"] = policy_looks.look(person, policy_looks.action_of(given))
    except ApiError as refusal:
        panel["error"] = error or refusal
    return panel


def _rule_panel(person: User, given: dict[str, Any], error: ApiError | None) -> dict[str, Any]:
    panel: dict[str, Any] = {"panel": "rule", "title": "A new rule", "error": error, "kinds": KINDS.items()}
    if not given["pattern"]:
        return panel
    panel["tried"] = _tried(given["pattern"])
    try:
        panel["seen"] = policy_looks.look(person, policy_looks.action_of(given))
    except ApiError as refusal:
        panel["error"] = error or refusal
    return panel


def _input(given: dict[str, Any]) -> dict[str, Any]:
    """How the value is asked for."""
    kind = given["change"].partition(":")[0]
    if kind == "threshold":
        return {"number": True, "most": 1}
    if kind == "text":
        return {"number": True, "most": 1.01}
    if kind == "scans":
        return {"choices": (Faces if given["field"] == "faces" else ReviewLevel).choices}
    if kind == "category":
        return {"choices": (("1", "Suspended: requests are refused"), ("0", "Taken"))}
    return {"choices": (("1", "On"), ("0", "Off"))}


def _tried(typed: str) -> dict[str, str]:
    if not typed:
        return {}
    try:
        compile_pattern(typed)
    except BadPattern as error:
        return {"problem": str(error)}
    return {"fine": "RE2 can read this pattern."}
