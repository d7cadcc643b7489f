"""Budgets as their owners see and set them: how far each month is, who set it, and for whom one can be set."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.errors import ApiError
from accounts.identity import Caller
from accounts.models import ApiKey, Membership, Organization
from billing import budgets
from billing.models import Budget

Scope = Budget.Scope
NOTHING = "Nothing was changed."
FULL = 100


@dataclass(frozen=True)
class Standing:
    """A budget in this month; `used_micro` is what was charged or is held."""

    budget: Budget
    name: str
    used_micro: int

    @property
    def left_micro(self) -> int:
        return max(0, self.budget.amount_micro - self.used_micro)

    @property
    def percent(self) -> int:
        """Of the amount, rounded down; a budget of nothing is used up."""
        if not self.budget.amount_micro:
            return FULL
        return self.used_micro * FULL // self.budget.amount_micro

    @property
    def state(self) -> str:
        """ok, warning (from the alert on) or danger (used up)."""
        if self.percent >= FULL:
            return "danger"
        return "warning" if self.percent >= self.budget.soft_percent else "ok"

    @property
    def words(self) -> str:
        if self.state == "danger":
            return "Used up: requests are refused" if self.budget.hard_stop else "Used up; requests go on"
        return "Above its alert" if self.state == "warning" else "Within budget"


@dataclass(frozen=True)
class Targets:
    """For whom a budget can be set, beside the whole organization."""

    members: list[Membership]
    keys: list[ApiKey]


def standings(organization_id: int, now: datetime) -> list[Standing]:
    """The organization's budgets: its own, members, keys; three queries at most."""
    set_ones = Budget.objects.filter(organization_id=organization_id, removed_at=None)
    found = list(set_ones.select_related("user", "api_key", "changed_by"))
    used = budgets.used_by_budget(found, now)
    order = list(Scope.values)
    shown = [Standing(budget, name_of(budget), used[budget.pk]) for budget in found]
    return sorted(shown, key=lambda one: (order.index(one.budget.scope), one.name.lower(), one.budget.pk))


def name_of(budget: Budget) -> str:
    if budget.user is not None:
        return budget.user.get_short_name()
    return budget.api_key.name if budget.api_key is not None else "The whole organization"


def targets(organization_id: int) -> Targets:
    """The members and the keys that are in use; two queries."""
    members = Membership.objects.filter(organization_id=organization_id).select_related("user")
    keys = ApiKey.objects.filter(organization_id=organization_id, revoked_at=None)
    return Targets(list(members.order_by("created_at", "id")), list(keys.order_by("name", "id")))


@transaction.atomic
def change(
    caller: Caller, scope: str, target: int | None, amount_micro: int, *, soft_percent: int, hard_stop: bool
) -> Budget:
    """Set the monthly budget of the organization, a member (`target` is their id) or a key, and audit it.

    Raises `ApiError`: insufficient_scope without the scope billing, invalid_value naming the field.
    """
    caller.require("billing")
    organization = caller.organization
    who = {"user_id": None, "api_key_id": None}
    if scope == Scope.MEMBER:
        who["user_id"] = _member(organization, target)
    elif scope == Scope.KEY:
        who["api_key_id"] = _key(organization, target)
    elif scope != Scope.ORGANIZATION:
        message = f"A budget is for one of {', '.join(Scope.values)}. {NOTHING}"
        raise ApiError("invalid_value", message, param="scope")
    before = Budget.objects.filter(organization=organization, scope=scope, removed_at=None, **who).first()
    was = _figures(before)
    budget = budgets.set_budget(
        organization.pk,
        scope,
        amount_micro,
        soft_percent=soft_percent,
        hard_stop=hard_stop,
        by=caller.user,
        **who,
    )
    _audit(caller, "budget.set", budget, was, _figures(budget))
    return budget


@transaction.atomic
def remove(caller: Caller, budget_id: int) -> None:
    """End a budget, and audit it. Raises `ApiError` insufficient_scope and not_found."""
    caller.require("billing")
    budget = Budget.objects.filter(pk=budget_id, organization=caller.organization, removed_at=None).first()
    budgets.remove_budget(caller.organization.pk, budget_id, by=caller.user)
    _audit(caller, "budget.remove", budget, _figures(budget), {})


def _member(organization: Organization, user_id: int | None) -> int:
    if not Membership.objects.filter(organization=organization, user=user_id).exists():
        message = f"There is no such member in this organization. {NOTHING}"
        raise ApiError("invalid_value", message, param="target")
    return user_id


def _key(organization: Organization, key_id: int | None) -> int:
    if not ApiKey.objects.filter(organization=organization, pk=key_id, revoked_at=None).exists():
        message = f"There is no such key in use in this organization. {NOTHING}"
        raise ApiError("invalid_value", message, param="target")
    return key_id


def _figures(budget: Budget | None) -> dict:
    if budget is None:
        return {}
    return {name: getattr(budget, name) for name in ("amount_micro", "soft_percent", "hard_stop")}


def _audit(caller: Caller, action: str, budget: Budget, before: dict, after: dict) -> None:
    audit.record(
        actor=caller.user or f"API key {caller.api_key.prefix}",
        action=action,
        target=f"budget:{budget.pk}:{budget.scope}",
        reason="Set by the customer",
        before=before,
        after=after,
        organization=caller.organization,
    )


def highest(found: Iterable[Standing]) -> Standing | None:
    """The budget that is closest to its end; None without any."""
    return max(found, key=lambda one: one.percent, default=None)
