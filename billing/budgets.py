"""The customer's own monthly budgets: how much of one is used, who is told, what is counted at hold and at settlement.

All under the lock on the wallet, so that two requests can't both be the last one that fits. A month is a calendar
month in UTC; work counts for the month in which it was admitted.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from django.db import connection, transaction
from django.utils import timezone

from accounts import batch
from accounts.errors import ApiError
from accounts.models import User
from billing import notices, overage, pricing
from billing.books import open_books
from billing.limits import OF_WHOM
from billing.limits import Budget as Standing
from billing.models import Budget, BudgetMonth, Decision, Notice

Scope = Budget.Scope

APPLYING = """
SELECT b.id, b.scope, b.amount_micro, b.soft_percent, b.hard_stop, m.used_micro
  FROM billing_budget b LEFT JOIN billing_budgetmonth m ON m.budget_id = b.id AND m.month = %s
 WHERE b.organization_id = %s AND b.removed_at IS NULL
   AND (b.scope = 'organization' OR b.user_id = %s OR b.api_key_id = %s)
 ORDER BY array_position(ARRAY['organization', 'member', 'key'], b.scope::text)
"""
COUNT = """
INSERT INTO billing_budgetmonth (budget_id, month, used_micro)
SELECT b.budget, %s, b.used + %s FROM unnest(%s::bigint[], %s::bigint[]) AS b (budget, used)
ON CONFLICT (budget_id, month) DO UPDATE SET used_micro = billing_budgetmonth.used_micro + %s
"""
# Never below zero: a count that is off is for reconciliation to find, not for a settlement to fail on.
GIVE_BACK = """
UPDATE billing_budgetmonth m SET used_micro = greatest(0, m.used_micro - %s) FROM billing_budget b
 WHERE b.id = m.budget_id AND m.month = %s AND b.organization_id = %s AND b.removed_at IS NULL
   AND (b.scope = 'organization' OR b.user_id = %s OR b.api_key_id = %s)
"""

# What a month came to from its records: captured, or held while it is open, whatever was refunded later. The month is
# summed once by member and key, however many budgets ask.
USED = """
WITH asked AS (SELECT id, organization_id, user_id, api_key_id FROM billing_budget WHERE id = ANY(%s)),
     spent AS (
       SELECT d.organization_id, d.user_id, d.api_key_id,
              sum(CASE WHEN h.state = 'open' THEN h.amount ELSE h.captured END) AS used
         FROM billing_decision d JOIN billing_hold h ON h.decision_id = d.id
        WHERE d.organization_id IN (SELECT organization_id FROM asked) AND d.at >= %s AND d.at < %s
        GROUP BY 1, 2, 3)
SELECT a.id, coalesce(sum(s.used), 0)
  FROM asked a LEFT JOIN spent s ON s.organization_id = a.organization_id
       AND (a.user_id IS NULL OR s.user_id = a.user_id) AND (a.api_key_id IS NULL OR s.api_key_id = a.api_key_id)
 GROUP BY a.id
"""


def month_of(at: datetime) -> date:
    return at.astimezone(UTC).date().replace(day=1)


def applying(
    organization_id: int, user_id: int | None, api_key_id: int | None, at: datetime
) -> batch.Statement:
    """The statement that reads the budgets of a request; `counted` makes sense of its rows."""
    return APPLYING, (month_of(at), organization_id, user_id, api_key_id)


def counted(rows: Iterable[tuple], at: datetime) -> list[Standing]:
    """The budgets of a request as they stand; a month's first look adds up what there was before the budget."""
    renews_at = overage.ends_at(month_of(at))
    found = []
    for number, scope, amount, soft, hard, used in rows:
        if used is None:
            used = used_micro(Budget.objects.get(pk=number), month_of(at))
        found.append(Standing(scope, number, amount, used, hard, renews_at, soft))
    return found


def used_micro(budget: Budget, month: date) -> int:
    """What a budget's month came to, from the records of the work itself."""
    return _used([budget.pk], month)[budget.pk]


def _used(numbers: list[int], month: date) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(USED, [numbers, overage.begins_at(month), overage.ends_at(month)])
        return {number: int(used) for number, used in cursor.fetchall()}


def count(found: Iterable[Standing], amount: int, at: datetime) -> list[batch.Statement]:
    """The statement that adds a hold to its budgets. A month's row is made at its first use."""
    found = list(found)
    if not found or not amount:
        return []
    numbers, used = [one.number for one in found], [one.used for one in found]
    return [(COUNT, (month_of(at), amount, numbers, used, amount))]


def give_back(decision: Decision, amount: int) -> list[batch.Statement]:
    """A hold was released, in part or whole: the statement by which the budgets that counted it in its month get that
    back."""
    if amount <= 0:
        return []
    whose = (decision.organization_id, decision.user_id, decision.api_key_id)
    return [(GIVE_BACK, (amount, month_of(decision.at), *whose))]


def tell(organization_id: int, found: Iterable[Standing], amount: int, at: datetime) -> None:
    """Tell of a budget that this hold brings over its soft share, or to its end; once per month and threshold."""
    for standing in found:
        before, after = standing.used, standing.used + amount
        if before < standing.limit <= after:
            _tell(organization_id, standing, Notice.Kind.BUDGET_REACHED, 100, after, at)
        elif before < standing.soft_micro <= after:
            _tell(organization_id, standing, Notice.Kind.BUDGET_ALERT, standing.soft_percent, after, at)


def tell_refused(organization_id: int, found: Iterable[Standing], amount: int, at: datetime) -> None:
    """Tell of the budget that stopped a request; once per month."""
    for standing in found:
        if standing.hard_stop and standing.used + amount > standing.limit:
            _tell(organization_id, standing, Notice.Kind.BUDGET_REACHED, 100, standing.used, at)


def _tell(organization_id: int, standing: Standing, kind: str, percent: int, used: int, at: datetime) -> None:
    whose, month = OF_WHOM[standing.scope], month_of(at)
    message = (
        f"{pricing.in_credits(used)} of the {pricing.in_credits(standing.limit)} credits that {whose} may use in "
        f"{month:%B %Y} are used or held."
    )
    if kind == Notice.Kind.BUDGET_REACHED:
        message += (
            " Requests above it are refused until the month ends."
            if standing.hard_stop
            else " It has no hard stop, so requests go on."
        )
    notices.tell(
        organization_id,
        kind,
        f"budget:{standing.number}:{month:%Y-%m}:{percent}:{standing.limit}",
        message,
        link="/budgets/",
        detail={"budget": standing.number, "month": f"{month:%Y-%m}", "percent": percent},
    )


@transaction.atomic
def set_budget(
    organization_id: int,
    scope: str,
    amount_micro: int,
    *,
    soft_percent: int = 80,
    hard_stop: bool = True,
    user_id: int | None = None,
    api_key_id: int | None = None,
    by: User | None = None,
) -> Budget:
    """Set the budget of the organization, a member or a key; a newer one takes the place of the older.

    Raises `ApiError` invalid_value, naming the field.
    """
    if not 0 <= amount_micro <= 10**15:
        raise ApiError("invalid_value", "A budget is an amount of credits from 0 on.", param="amount")
    if not 1 <= soft_percent <= 100:
        raise ApiError("invalid_value", "The alert comes at 1 to 100 percent.", param="soft_percent")
    open_books(organization_id)
    same = {"organization_id": organization_id, "scope": scope, "user_id": user_id, "api_key_id": api_key_id}
    values = {"amount_micro": amount_micro, "soft_percent": soft_percent, "hard_stop": hard_stop}
    budget, made = Budget.objects.get_or_create(
        **same, removed_at=None, defaults={**values, "changed_by": by}
    )
    if not made:
        for name, value in {**values, "changed_by": by, "changed_at": timezone.now()}.items():
            setattr(budget, name, value)
        budget.save()
    return budget


@transaction.atomic
def remove_budget(organization_id: int, budget_id: int, *, by: User | None = None) -> None:
    """End a budget. Raises `ApiError` not_found for one that isn't the organization's or has ended."""
    open_books(organization_id)
    ended = Budget.objects.filter(pk=budget_id, organization_id=organization_id, removed_at=None).update(
        removed_at=timezone.now(), changed_by=by
    )
    if not ended:
        raise ApiError("not_found", "There is no such budget in this organization.", param="id")


def used_by_budget(budgets: Iterable[Budget], at: datetime) -> dict[int, int]:
    """Micro-credits used this month, by budget id: charged or held. Two queries at most."""
    numbers, month = [budget.pk for budget in budgets], month_of(at)
    rows = BudgetMonth.objects.filter(budget__in=numbers, month=month)
    known = dict(rows.values_list("budget_id", "used_micro"))
    unused = [number for number in numbers if number not in known]
    return {**known, **(_used(unused, month) if unused else {})}
