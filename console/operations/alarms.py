"""Alarms: how each stands, when it fired, its settings and silences, and what to do about it."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from console.alarms import board, guides, paging, terms
from console.alarms.changes import SETTINGS, Acknowledge, ChangeAlarmSetting, EndSilence, SilenceAlarm
from console.alarms.policy.catalog import BY_NAME
from console.models import AlarmFiring, AlarmOverride, Incident
from console.operations.expiries import EXPIRIES, expiry

CHANGES_SHOWN = 12


@require_GET
@staff(StaffRole.Role.OPERATOR)
def alarms(request: HttpRequest, person: User) -> HttpResponse:
    """All of them, what fires first."""
    now = timezone.now()
    page = {"board": board.board(now), "history": board.history(), "adapters": paging.adapters()}
    return render(request, "console/operate_alarms.html", page)


@require_GET
@staff(StaffRole.Role.OPERATOR)
def alarm(request: HttpRequest, person: User, name: str) -> HttpResponse:
    """One alarm; `?field=threshold&value=0.01` shows what that would do."""
    return _page(request, name, {key: request.GET.get(key, "") for key in ("field", "value")})


@require_POST
@staff(StaffRole.Role.OPERATOR)
def change(request: HttpRequest, person: User, name: str, field: str) -> HttpResponse:
    """Change a setting."""
    given = {key: request.POST.get(key, "") for key in ("value", "reason", "expires")}
    try:
        action = _action(name, field, given["value"])
        entry = actions.perform(action, person, given["reason"], expiry(given["expires"]))
    except ApiError as error:
        return _page(request, name, {"field": field, "value": given["value"]}, error, given)
    said = action.setting.words(entry.after[field])
    messages.success(request, f"{action.setting.label} of {BY_NAME[name].title} is {said} now.")
    return redirect("operate_alarm", name)


@require_POST
@staff(StaffRole.Role.OPERATOR)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change of a setting back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=ChangeAlarmSetting.name)
    action = ChangeAlarmSetting(entry.target.partition(":")[2], (entry.undo or {}).get("field", ""))
    _do(request, lambda: actions.revert(action, entry, person, request.POST.get("reason", "")), "Taken back.")
    return redirect("operate_alarm", action.slug)


@require_POST
@staff(StaffRole.Role.OPERATOR)
def silence(request: HttpRequest, person: User, name: str) -> HttpResponse:
    """Page nobody for it for a while."""
    action, given = SilenceAlarm(name, request.POST.get("scope", "")), request.POST
    _do(
        request,
        lambda: actions.perform(action, person, given.get("reason", ""), expiry(given.get("expires", ""))),
        "Silenced; it is still looked at and recorded.",
    )
    return redirect("operate_alarm", name) if name in BY_NAME else redirect("operate_alarms")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def unsilence(request: HttpRequest, person: User, silence_id: int) -> HttpResponse:
    """Let it page again."""
    reason = request.POST.get("reason", "")
    _do(request, lambda: actions.perform(EndSilence(silence_id), person, reason), "It pages again.")
    return redirect("operate_alarms")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def acknowledge(request: HttpRequest, person: User, firing_id: int) -> HttpResponse:
    """Say that somebody has it."""
    firing = get_object_or_404(AlarmFiring, pk=firing_id)
    reason = request.POST.get("reason", "") or "On it."
    _do(
        request, lambda: actions.perform(Acknowledge(firing_id), person, reason), "Acknowledged: it is yours."
    )
    return redirect("operate_alarm", firing.alarm_id)


def _do(request: HttpRequest, change_it, done: str) -> None:
    try:
        change_it()
        messages.success(request, done)
    except ApiError as error:
        messages.error(request, error.message)


def _action(name: str, field: str, value: str) -> ChangeAlarmSetting:
    if name not in BY_NAME:
        raise Http404
    action = ChangeAlarmSetting(name, field)
    return ChangeAlarmSetting(name, field, action.setting.read(value, "value")) if value else action


def _page(
    request: HttpRequest, name: str, asked: dict, error: ApiError | None = None, given: dict | None = None
) -> HttpResponse:
    if name not in BY_NAME:
        raise Http404
    now = timezone.now()
    in_force = terms.of_alarm(name, now)
    page = {
        "alarm": BY_NAME[name],
        "board": board.board(now, name),
        "history": board.history(name),
        "guide": guides.of(name),
        "incident": Incident.objects.filter(alarm=name).exclude(state=Incident.State.RESOLVED).first(),
        "silences": [one for one in board.standing_silences(now) if one.alarm_id == name],
        "values": [
            {"field": field, "setting": setting, "words": setting.words(getattr(in_force, field))}
            for field, setting in SETTINGS.items()
            if getattr(in_force, field) is not None
        ],
        "changes": _changes(name),
        "expiries": EXPIRIES,
        "lasts": EXPIRIES[1:],
        "asked": asked if asked["field"] else None,
        "given": given or {},
        "error": error,
    }
    if asked["field"]:
        page |= _panel(name, asked, error)
    return render(
        request, "console/operate_alarm.html", page, status=page["error"].status if page["error"] else 200
    )


def _panel(name: str, asked: dict, error: ApiError | None) -> dict:
    try:
        action = _action(name, asked["field"], "")
        panel = {"setting": action.setting, "in_force": action.setting.words(action.in_force(timezone.now()))}
        if asked["value"]:
            panel["preview"] = _action(name, asked["field"], asked["value"]).preview()
    except ApiError as refusal:
        return {"error": error or refusal}
    return panel


def _changes(name: str) -> list[dict]:
    """The newest changes of its settings, with whether each can still be undone; two queries."""
    entries = AuditEntry.objects.filter(
        action__in=[ChangeAlarmSetting.name, f"{ChangeAlarmSetting.name}.undo"], target=f"alarm:{name}"
    ).order_by("-at", "-id")[:CHANGES_SHOWN]
    standing = set(AlarmOverride.objects.filter(alarm=name, removed_at=None).values_list("pk", flat=True))
    shown = []
    for entry in entries:
        field = next(iter(entry.before))
        setting = SETTINGS[field]
        shown.append(
            {
                "entry": entry,
                "setting": setting,
                "before": setting.words(entry.before[field]),
                "after": setting.words(entry.after[field]),
                "stands": bool(entry.undo) and entry.undo["override"] in standing,
            }
        )
    return shown
