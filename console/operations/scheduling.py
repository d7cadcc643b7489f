"""Scheduling: the live settings of pools and of the auto-raise rule, who gave way, and whether estimates held."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from console.operations.expiries import EXPIRIES, expiry
from generation.models import PoolOverride, RaiseRuleOverride
from generation.scheduling import board as scheduling_board
from generation.scheduling.setting_actions import ChangePoolSetting, ChangeRaiseRule, ChangeSetting

CHANGES_SHOWN = 12
KINDS = {action.kind: action for action in (ChangePoolSetting, ChangeRaiseRule)}
NAMES = {action.name: action for action in KINDS.values()}
ROWS = {ChangePoolSetting.name: PoolOverride, ChangeRaiseRule.name: RaiseRuleOverride}


@require_GET
@staff(StaffRole.Role.OPERATOR)
def scheduling(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?kind=pool&slug=clips&field=most_wait_s` opens a setting, with `value` what that would do."""
    return _page(request, {name: request.GET.get(name, "") for name in ("kind", "slug", "field", "value")})


@require_POST
@staff(StaffRole.Role.OPERATOR)
def change(request: HttpRequest, person: User, kind: str, slug: str, field: str) -> HttpResponse:
    """Apply a change."""
    given = {name: request.POST.get(name, "") for name in ("value", "reason", "expires")}
    asked = {"kind": kind, "slug": slug, "field": field, "value": given["value"]}
    try:
        action = _action(asked)
        entry = actions.perform(action, person, given["reason"], expiry(given["expires"]))
    except ApiError as error:
        return _page(request, asked, error, given)
    setting = action.setting
    before, after = setting.words(entry.before[field]), setting.words(entry.after[field])
    messages.success(request, f"{setting.label} of {slug} went from {before} to {after}.")
    return redirect("operate_scheduling")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action__in=NAMES)
    action = NAMES[entry.action](entry.target.partition(":")[2], (entry.undo or {}).get("field", ""))
    try:
        undone = actions.revert(action, entry, person, request.POST.get("reason", ""))
        back = action.setting.words(undone.after[action.field])
        messages.success(request, f"{action.setting.label} of {action.slug} is back at {back}.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("operate_scheduling")


def _action(asked: dict[str, str]) -> ChangeSetting:
    if asked["kind"] not in KINDS:
        raise ApiError("not_found", f"There is no kind of setting {asked['kind']!r:.40}.", param="kind")
    action = KINDS[asked["kind"]](asked["slug"], asked["field"])
    if not asked["value"]:
        return action
    return KINDS[asked["kind"]](asked["slug"], asked["field"], action.setting.read(asked["value"], "value"))


def _page(
    request: HttpRequest, asked: dict[str, str], error: ApiError | None = None, given: dict | None = None
) -> HttpResponse:
    now = timezone.now()
    page = {
        "pools": scheduling_board.pools(now),
        "rules": scheduling_board.rules(now),
        "preemptions": scheduling_board.preemptions(),
        "preempted": scheduling_board.preemptions_last_hour(now),
        "calibration": scheduling_board.calibration(now),
        "changes": _changes(now),
        "expiries": EXPIRIES,
        "given": given or {},
        "error": error,
    }
    if asked["kind"]:
        page |= _panel(asked, error)
    status = page["error"].status if page["error"] else 200
    return render(request, "console/operate_scheduling.html", page, status=status)


def _panel(asked: dict[str, str], error: ApiError | None) -> dict:
    """The setting that is asked about, with what the value would do, or why it can't be."""
    panel: dict = {"asked": asked, "error": error}
    try:
        action = _action({**asked, "value": ""})
        now = action.setting.words(action.in_force(timezone.now()))
        panel |= {"setting": action.setting, "in_force": now}
        if asked["value"]:
            panel["preview"] = _action(asked).preview()
    except ApiError as refusal:
        panel["error"] = error or refusal
    return panel


def _changes(now: datetime) -> list[dict]:
    """The newest changes, with whether each can still be undone; three queries."""
    names = [*NAMES, *(f"{name}.undo" for name in NAMES)]
    entries = list(AuditEntry.objects.filter(action__in=names).order_by("-at", "-id")[:CHANGES_SHOWN])
    standing = {
        name: {
            row.pk
            for row in ROWS[name].objects.filter(
                pk__in=[entry.undo["override"] for entry in entries if entry.action == name and entry.undo],
                removed_at=None,
            )
            if row.expires_at is None or row.expires_at > now
        }
        for name in NAMES
    }
    return [_shown(entry, standing) for entry in entries]


def _shown(entry: AuditEntry, standing: dict[str, set[int]]) -> dict:
    name = entry.action.removesuffix(".undo")
    field = next(iter(entry.before))
    setting = NAMES[name].settings[field]
    return {
        "entry": entry,
        "slug": entry.target.partition(":")[2],
        "setting": setting,
        "before": setting.words(entry.before[field]),
        "after": setting.words(entry.after[field]),
        "undoes": entry.action != name,
        "stands": bool(entry.undo) and entry.undo["override"] in standing[name],
    }
