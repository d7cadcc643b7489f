"""Access: who may sign up, cohorts and their codes, who came by them, and today's places."""

from django.contrib import messages
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, gate
from accounts.access_actions import CloseCohort, MakeCode, OpenCohort, RevokeCode, SetSignUpPolicy
from accounts.actions import Action
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, Cohort, InvitationCode, Registration, StaffRole, User

ADMIN = StaffRole.Role.BILLING_ADMIN
CHANGES_SHOWN, SIGN_UPS_SHOWN, CODES_SHOWN = 12, 20, 50
MICRO = 1_000_000
# How an entry of the audit log is undone: the action of its name, made from its target.
UNDOABLE: dict[str, type[Action]] = {
    kind.name: kind for kind in (SetSignUpPolicy, OpenCohort, CloseCohort, MakeCode)
}
NAMES = (*UNDOABLE, RevokeCode.name)


@require_GET
@staff(ADMIN)
def access(request: HttpRequest, person: User) -> HttpResponse:
    """The page."""
    return _page(request, {})


@require_POST
@staff(ADMIN)
def policy(request: HttpRequest, person: User) -> HttpResponse:
    """Preview a change of who may sign up, and apply it at the second press."""
    given = {
        "invite_only": request.POST.get("invite_only") == "1",
        "cap": request.POST.get("cap", "").strip(),
    }
    given["reason"] = request.POST.get("reason", "")
    try:
        cap = _whole(given["cap"], "cap", "Give the daily cap as a whole number, or leave it empty.")
        action = SetSignUpPolicy(given["invite_only"], cap)
        if request.POST.get("step") != "apply":
            return _page(request, {"policy": given, "policy_preview": action.preview()})
        entry = actions.perform(action, person, given["reason"])
    except ApiError as error:
        return _page(request, {"policy": given, "policy_error": error}, error.status)
    messages.success(request, f"In force from the next sign-up on; line {entry.pk} of the audit log.")
    return redirect("staff_access")


@require_POST
@staff(ADMIN)
def open_cohort(request: HttpRequest, person: User) -> HttpResponse:
    """A new cohort."""
    given = {
        name: request.POST.get(name, "").strip()
        for name in ("name", "note", "credit", "credit_days", "reason")
    }
    try:
        credit = _whole(given["credit"], "credit", "Give the credit as a whole number of credits.") or 0
        days = _whole(given["credit_days"], "credit_days", "Give the days as a whole number.") or 90
        action = OpenCohort(given["name"], given["note"], credit * MICRO, days)
        actions.perform(action, person, given["reason"])
    except ApiError as error:
        return _page(request, {"new_cohort": given, "cohort_error": error}, error.status)
    messages.success(request, f"The cohort {given['name']} is open. Make a code for it next.")
    return redirect("staff_access")


@require_POST
@staff(ADMIN)
def close_cohort(request: HttpRequest, person: User, cohort_id: int) -> HttpResponse:
    """Refuse a cohort's codes from now on."""
    get_object_or_404(Cohort, pk=cohort_id)
    return _perform(request, person, CloseCohort(cohort_id), "The cohort is closed; its codes are refused.")


@require_POST
@never_cache
@staff(ADMIN)
def make_code(request: HttpRequest, person: User) -> HttpResponse:
    """A new code, shown this once in the answer itself."""
    given = {name: request.POST.get(name, "").strip() for name in ("cohort", "max_uses", "days", "reason")}
    try:
        numbers = [
            _whole(given[name], name, "Give a whole number.") or 0 for name in ("cohort", "max_uses", "days")
        ]
        action = MakeCode(*numbers)
        actions.perform(action, person, given["reason"])
    except ApiError as error:
        return _page(request, {"new_code": given, "code_error": error}, error.status)
    return _page(request, {"made_code": action.shown[0], "made_uses": action.max_uses})


@require_POST
@staff(ADMIN)
def revoke_code(request: HttpRequest, person: User, code_id: int) -> HttpResponse:
    """End a code."""
    get_object_or_404(InvitationCode, pk=code_id)
    return _perform(request, person, RevokeCode(code_id), "The code is revoked.")


@require_POST
@staff(ADMIN)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change of this page back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action__in=UNDOABLE)
    try:
        actions.revert(_action_of(entry), entry, person, request.POST.get("reason", ""))
        messages.success(request, "The change is undone.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("staff_access")


def _perform(request: HttpRequest, person: User, action: Action, done: str) -> HttpResponse:
    try:
        actions.perform(action, person, request.POST.get("reason", ""))
        messages.success(request, done)
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("staff_access")


def _page(request: HttpRequest, shown: dict, status: int = 200) -> HttpResponse:
    """Seven queries, however many rows there are."""
    rules = gate.policy()
    now = timezone.now()
    page = {
        "standing": gate.look(now),
        "rules": rules,
        "policy": {
            "invite_only": rules.invite_only,
            "cap": "" if rules.daily_cap is None else rules.daily_cap,
        },
        "cohorts": list(_cohorts()),
        "codes": _codes(now),
        "sign_ups": list(_sign_ups()),
        "changes": _changes(),
        "now": now,
        **shown,
    }
    return render(request, "accounts/access.html", page, status=status)


def _cohorts() -> QuerySet[Cohort]:
    """With how many codes, uses and organizations each has."""
    codes = InvitationCode.objects.filter(cohort=OuterRef("pk")).order_by().values("cohort")
    joined = Registration.objects.filter(code__cohort=OuterRef("pk")).order_by().values("code__cohort")
    return Cohort.objects.annotate(
        code_count=Coalesce(Subquery(codes.annotate(n=Count("pk")).values("n")), 0),
        use_count=Coalesce(Subquery(codes.annotate(n=Sum("uses")).values("n")), 0),
        place_count=Coalesce(Subquery(codes.annotate(n=Sum("max_uses")).values("n")), 0),
        joined_count=Coalesce(Subquery(joined.annotate(n=Count("pk")).values("n")), 0),
    ).order_by(F("closed_at").desc(nulls_first=True), "-created_at")


def _codes(now) -> list[InvitationCode]:
    codes = list(
        InvitationCode.objects.select_related("cohort", "created_by").order_by("-created_at")[:CODES_SHOWN]
    )
    for code in codes:
        code.standing = _standing(code, now)
    return codes


def _standing(code: InvitationCode, now) -> str:
    if code.revoked_at:
        return "revoked"
    if code.cohort.closed_at:
        return "closed"
    if code.uses >= code.max_uses:
        return "used up"
    return "expired" if code.expires_at <= now else "open"


def _sign_ups() -> QuerySet[Registration]:
    rows = Registration.objects.select_related("organization", "person", "code__cohort")
    return rows.order_by("-created_at")[:SIGN_UPS_SHOWN]


def _changes() -> list[dict]:
    """The newest changes of this page, with whether an undo is offered; the action itself decides."""
    names = Q(action__in=NAMES) | Q(action__in=[f"{name}.undo" for name in UNDOABLE])
    entries = list(AuditEntry.objects.filter(names).order_by("-at", "-id")[:CHANGES_SHOWN])
    newest_policy = next(
        (entry.pk for entry in entries if entry.action.startswith(SetSignUpPolicy.name)), None
    )
    return [
        {
            "entry": entry,
            "words": _words(entry),
            "undoable": entry.undo is not None
            and (entry.action != SetSignUpPolicy.name or entry.pk == newest_policy),
        }
        for entry in entries
    ]


def _words(entry: AuditEntry) -> str:
    name = entry.action.removesuffix(".undo")
    title = (UNDOABLE | {RevokeCode.name: RevokeCode})[name].title
    if name == SetSignUpPolicy.name:
        cap = entry.after["daily_cap"]
        who = "by invitation only" if entry.after["invite_only"] else "open to everybody"
        title = f"Sign-up {who}, {'no daily cap' if cap is None else f'{cap} a day'}"
    return f"{title} (undone)" if entry.action.endswith(".undo") else title


def _action_of(entry: AuditEntry) -> Action:
    """An action of the entry's kind and target, as `revert` wants to compare them; what to undo is in the entry."""
    about = entry.target.partition(":")[2]
    if entry.action == SetSignUpPolicy.name:
        return SetSignUpPolicy()
    if entry.action == OpenCohort.name:
        return OpenCohort(about)
    return UNDOABLE[entry.action](int(about))


def _whole(text: str, param: str, complaint: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ApiError("invalid_value", complaint, param=param)
    return int(text)
