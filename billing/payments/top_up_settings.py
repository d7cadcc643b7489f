"""What an organization says about automatic top-up, and the card that it lets be kept. Every change is audited."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.errors import ApiError
from accounts.models import Organization, User
from billing.models import AutoTopUp
from billing.payments import buying
from billing.payments.provider import ProviderRefused, ProviderUnavailable, active, unavailable

MOST_THRESHOLD_MICRO = 10**13  # ten million credits: more is a typing error
MOST_CAP_CENTS = 10_000_000
AUDITED = ("state", "pack_slug", "threshold_micro", "monthly_cap_cents")


def switch_on(
    organization: Organization,
    *,
    pack_slug: str,
    threshold_micro: int,
    monthly_cap_cents: int,
    user: User,
    now: datetime,
) -> AutoTopUp:
    """Buy `pack_slug` by itself whenever credits fall below the threshold, for at most so much a month.

    Past failures are forgotten. Raises `ApiError`: not_ready without a kept card, invalid_value naming the field.
    """
    pack = buying.find_pack(pack_slug, now)
    if not 0 <= threshold_micro <= MOST_THRESHOLD_MICRO:
        message = "The threshold must be a number of credits, 0 or more. Nothing was changed."
        raise ApiError("invalid_value", message, param="threshold")
    if not pack.amount_cents <= monthly_cap_cents <= MOST_CAP_CENTS:
        message = f"The monthly cap must allow at least one pack, ${pack.amount_cents / 100:,.2f}. Nothing was changed."
        raise ApiError("invalid_value", message, param="cap")
    customer = buying.kept_card(organization.pk, active().name)
    if customer is None:
        message = (
            "Automatic top-up needs a card. Buy a pack once with “Keep this card” ticked, then switch it on. "
            "Nothing was changed."
        )
        raise ApiError("not_ready", message)
    wanted = {
        "customer": customer,
        "pack_slug": pack_slug,
        "threshold_micro": threshold_micro,
        "monthly_cap_cents": monthly_cap_cents,
        "state": AutoTopUp.State.ON,
        "consecutive_failures": 0,
        "last_failure": "",
        "failed_at": None,
    }
    return _change(organization, wanted, user, "Switched on", now)


def switch_off(organization: Organization, *, user: User, now: datetime) -> None:
    """Buy nothing by itself any more. A charge that is under way still counts."""
    if AutoTopUp.objects.filter(pk=organization.pk).exclude(state=AutoTopUp.State.OFF).exists():
        _change(organization, {"state": AutoTopUp.State.OFF}, user, "Switched off", now)


def forget_card(organization: Organization, *, user: User, now: datetime) -> None:
    """Let the provider forget the kept card; automatic top-up ends with it. Raises `ApiError`."""
    provider = active()
    customer = buying.kept_card(organization.pk, provider.name)
    if customer is None:
        return
    switch_off(organization, user=user, now=now)
    try:
        provider.forget_card(customer.method_id)
    except (ProviderUnavailable, ProviderRefused) as problem:
        raise unavailable(problem) from problem
    with transaction.atomic():
        gone = customer.method_label
        customer.method_id = customer.method_label = ""
        customer.save(update_fields=["method_id", "method_label"])
        _record(organization, user, "card.forget", "Card forgotten", {"card": gone}, {"card": ""})


@transaction.atomic
def _change(organization: Organization, wanted: dict, user: User, reason: str, now: datetime) -> AutoTopUp:
    current = AutoTopUp.objects.select_for_update().filter(pk=organization.pk).first()
    before = {name: getattr(current, name) for name in AUDITED} if current else {}
    values = {**wanted, "changed_by": user, "changed_at": now}
    changed, _ = AutoTopUp.objects.update_or_create(organization=organization, defaults=values)
    after = {name: getattr(changed, name) for name in AUDITED}
    _record(organization, user, "auto_top_up.change", reason, before, after)
    return changed


def _record(
    organization: Organization, user: User, action: str, reason: str, before: dict, after: dict
) -> None:
    audit.record(
        actor=user,
        action=action,
        target=f"organization:{organization.pk}",
        reason=reason,
        before=before,
        after=after,
        organization=organization,
    )
