"""What another price would have brought: last week's usage once more, at a price that is only proposed.

The charge is recomputed for every piece of work as `settlement` and `pricing.amount_micro` would have: the price of
the units done, rounded half up, at most the quote; nothing for what was not charged.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection

from billing import pricing
from billing.models import Operation

SPAN = timedelta(days=7)
TOP = 10

# Rounded as pricing.amount_micro rounds; numeric, because units times a price may be more than a bigint holds.
_AT_PRICE = "floor((2 * {units}::numeric * %(price)s + 1000000) / 2000000)"
# A repeat from the cache was quoted at the price of making it: that quote stays its cap.
_USED = f"""
WITH used AS MATERIALIZED (
    SELECT u.model, u.organization_id, c.amount AS was,
           least({_AT_PRICE.format(units="u.units_micro")},
                 CASE WHEN u.operation = p.operation THEN {_AT_PRICE.format(units="h.units_micro")}
                      ELSE h.amount END) AS would
      FROM billing_usageevent u
      JOIN billing_charge c ON c.usage_event_id = u.id
      JOIN billing_priceversion p ON p.id = c.price_version_id AND p.operation = %(operation)s
      JOIN billing_hold h ON h.id = u.hold_id
     WHERE u.at >= %(since)s AND u.at < %(until)s AND u.outcome IN ('delivered', 'cancelled', 'cached')
)
"""
# An allowance is granted in units: what a unit is worth changes what a day's grant comes to.
_ALLOWED = """
WITH used AS MATERIALIZED (
    SELECT 'every model' AS model, t.organization_id, e.amount AS was,
           round(e.amount::numeric * %(price)s / nullif(p.micro_per_unit, 0)) AS would
      FROM billing_transaction t
      JOIN billing_entry e ON e.transaction_id = t.id
      JOIN billing_account a ON a.id = e.account_id AND a.organization_id IS NOT NULL
      JOIN LATERAL (
          SELECT micro_per_unit FROM billing_priceversion
           WHERE operation = 'allowance' AND effective_from <= t.at ORDER BY effective_from DESC LIMIT 1
      ) p ON true
     WHERE t.at >= %(since)s AND t.at < %(until)s AND t.kind = 'allowance'
)
"""
_SUMS = "count(*), coalesce(sum(was), 0), coalesce(sum(would), 0)"
_COMPARED = f"""
(SELECT 'all', '', '', {_SUMS} FROM used)
UNION ALL
(SELECT 'model', model, model, {_SUMS} FROM used GROUP BY model ORDER BY sum(was) DESC LIMIT {TOP})
UNION ALL
(SELECT 'organization', o.slug, o.name, {_SUMS} FROM used JOIN accounts_organization o ON o.id = organization_id
  GROUP BY o.id ORDER BY abs(sum(would) - sum(was)) DESC, sum(was) DESC LIMIT {TOP})
"""


@dataclass(frozen=True)
class Compared:
    """So many pieces of work: what they brought, and what they would have, in micro-credits."""

    key: str
    name: str
    count: int
    now_micro: int
    then_micro: int

    @property
    def change_micro(self) -> int:
        return self.then_micro - self.now_micro

    @property
    def change_share(self) -> float | None:
        """The change as a share of what it was; None where that was nothing."""
        return self.change_micro / self.now_micro if self.now_micro else None


@dataclass(frozen=True)
class Effect:
    """A proposed price on the usage of a week. `organizations` are those whom it changes most."""

    operation: str
    micro_per_unit: int
    since: str  # ISO 8601
    until: str
    total: Compared
    models: list[Compared] = field(default_factory=list)
    organizations: list[Compared] = field(default_factory=list)


def effect(operation: str, micro_per_unit: int, now: datetime) -> Effect:
    """Compare over the week before `now`, in one query."""
    since = now - SPAN
    asked = {"price": micro_per_unit, "since": since, "until": now, "operation": operation}
    source = _ALLOWED if operation == Operation.ALLOWANCE else _USED
    with connection.cursor() as cursor:
        cursor.execute(source + _COMPARED, asked)
        rows = [
            (of, Compared(key, name, count, int(was), int(would)))
            for of, key, name, count, was, would in cursor
        ]
    of: dict[str, list[Compared]] = {"all": [], "model": [], "organization": []}
    for kind, row in rows:
        of[kind].append(row)
    (total,) = of["all"]
    return Effect(
        operation, micro_per_unit, since.isoformat(), now.isoformat(), total, of["model"], of["organization"]
    )


def in_words(effect: Effect) -> str:
    """The comparison in a sentence."""
    total = effect.total
    if not total.count:
        return "Nothing of this was used in the last 7 days, so nothing would have changed."
    verb = "granted" if effect.operation == Operation.ALLOWANCE else "brought"
    was, then = pricing.in_credits(total.now_micro), pricing.in_credits(total.then_micro)
    return f"The last 7 days {verb} {was} credits in {total.count:,} parts; at this price it would be {then}."
