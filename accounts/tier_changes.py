"""Another tier for an organization, from a date on: previewed, undone until it is in force, never overwritten."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.db.models.functions import Now
from django.utils import timezone

from accounts import tiers
from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import Enrollment, Organization, StaffRole, Tier, TierTerms, User

FURTHEST = timedelta(days=400)
# A date in the past is refused, but for the time it takes to fill in a form.
GRACE = timedelta(minutes=10)
# What a preview compares, in the order of the page: column, words, unit.
LIMITS = (
    ("allowance_day_micro", "Allowance per day", "units"),
    ("allowance_month_micro", "Allowance per month", "units"),
    ("requests_per_minute", "Requests per minute, organization", ""),
    ("requests_per_minute_key", "Requests per minute, key", ""),
    ("max_open", "Open jobs", ""),
    ("max_running", "Running clips", ""),
    ("units_in_flight_micro", "Units in flight", "units"),
    ("steps", "Denoising steps", ""),
    ("max_width", "Largest clip, width in pixels", ""),
    ("max_height", "Largest clip, height in pixels", ""),
    ("max_seconds", "Longest clip in seconds", ""),
    ("lane_weight", "Lane weight", ""),
    ("target_s", "Target time in system, p95, in seconds", ""),
)


@dataclass(frozen=True)
class ChangeTier(Action):
    """Put an organization on a tier from `effective_from` on; None is at once, which can't be undone, only changed."""

    name: ClassVar[str] = "enrollment.change"
    title: ClassVar[str] = "Change tier"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    organization: Organization
    tier_slug: str = ""
    effective_from: datetime | None = None

    @property
    def target(self) -> str:
        return f"organization:{self.organization.slug}"

    def preview(self) -> Preview:
        """The limits before and after, and what a default clip costs then."""
        start = self._check()
        before = tiers.terms_for(self.organization.pk, start)
        after = _terms_of(self.tier_slug, start)
        changed = [
            {"limit": words, "unit": unit, "before": getattr(before, column), "after": getattr(after, column)}
            for column, words, unit in LIMITS
            if getattr(before, column) != getattr(after, column)
        ]
        sentence = f"{self.organization.name} goes from {before.tier_id} to {after.tier_id} {_on(start)}. "
        return Preview(
            {"tier": before.tier_id},
            {"tier": after.tier_id, "effective_from": start.isoformat(), "limits": changed},
            sentence + price_effect(before, after),
        )

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        start = self._check()
        if expires_at is not None:
            raise ApiError("invalid_value", "A tier change has a date to begin, and no expiry.", "expires_at")
        lock(self.organization)
        before = tiers.terms_for(self.organization.pk, start).tier_id
        if before == self.tier_slug:
            message = f"{self.organization.name} will be on {before} then anyway. Nothing was changed."
            raise ApiError("invalid_value", message, param="tier")
        made = _enroll(self.organization, self.tier_slug, start, actor, reason)
        told = {"tier": self.tier_slug, "effective_from": start.isoformat()}
        undo = {"enrollment": made.pk} if self.effective_from is not None else None
        return {"before": {"tier": before}, "after": told, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """Another row for the same moment, with the tier that would be in force then without this change."""
        lock(self.organization)
        rows = self.organization.enrollments
        change = rows.filter(pk=undo["enrollment"], effective_from__gt=Now()).first()
        if change is None:
            message = "This change is in force already. Change the tier anew instead; nothing was changed."
            raise ApiError("invalid_value", message, param="entry")
        if rows.filter(effective_from=change.effective_from, pk__gt=change.pk).exists():
            raise ApiError("invalid_value", "This change was undone or replaced before.", param="entry")
        earlier = rows.filter(effective_from__lte=change.effective_from).exclude(pk=change.pk)
        tier = earlier.order_by("-effective_from", "-pk").values_list("tier_id", flat=True)[0]
        _enroll(self.organization, tier, change.effective_from, actor, reason)
        after = {"tier": tier, "effective_from": change.effective_from.isoformat()}
        return {"before": {"tier": change.tier_id}, "after": after, "undo": None}

    def _check(self) -> datetime:
        """The moment it begins. Raises `ApiError` for a tier that is none and for a date that can't be."""
        now = timezone.now()
        if not Tier.objects.filter(slug=self.tier_slug).exists():
            raise ApiError("invalid_value", "Choose one of the tiers.", param="tier")
        if self.effective_from is None:
            return now
        if not now - GRACE <= self.effective_from <= now + FURTHEST:
            message = f"Choose a moment between now and {FURTHEST.days} days from now, in UTC."
            raise ApiError("invalid_value", message, param="effective_from")
        return max(self.effective_from, now)


def lock(organization: Organization) -> None:
    """Changes of one organization's tier come one after the other."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def price_effect(before: TierTerms, after: TierTerms) -> str:
    """What the change does to money, in words: the price of a unit is the same in every tier, its number is not."""
    parts = []
    if before.steps != after.steps:
        parts.append(
            f"A clip takes {after.steps} instead of {before.steps} steps at most, so one at the default costs "
            f"{after.steps / before.steps:.2f} times as many units"
        )
    if after.allowance_month_micro is None:
        parts.append("the allowance is settled by contract")
    elif before.allowance_month_micro is not None:
        more = (after.allowance_month_micro - before.allowance_month_micro) // 1_000_000
        parts.append(f"{abs(more):,} units a month {'more' if more >= 0 else 'less'} are included")
    parts.append("the price of a unit stays; jobs that wait keep their lane and their quote")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def coming(organization: Organization, now: datetime) -> list[Enrollment]:
    """Changes that are not in force yet, soonest first; of several rows for one moment the last, if it changes."""
    rows = organization.enrollments.filter(effective_from__gt=now).order_by("effective_from", "pk")
    last = {row.effective_from: row for row in rows.select_related("tier")}
    tier, changes = tiers.terms_for(organization.pk, now).tier_id, []
    for row in last.values():
        if row.tier_id != tier:
            changes.append(row)
        tier = row.tier_id
    return changes


def _enroll(
    organization: Organization, tier_slug: str, start: datetime, actor: User, reason: str
) -> Enrollment:
    return Enrollment.objects.create(
        organization=organization,
        tier_id=tier_slug,
        effective_from=start,
        author=actor.email,
        reason=reason,
    )


def _terms_of(tier_slug: str, at: datetime) -> TierTerms:
    terms = TierTerms.objects.filter(tier_id=tier_slug, effective_from__lte=at).order_by("-effective_from")
    found = terms.first()
    if found is None:
        raise ApiError("invalid_value", f"{tier_slug} has no terms at that moment.", param="tier")
    return found


def _on(start: datetime) -> str:
    return "at once" if start <= timezone.now() else f"from {start:%Y-%m-%d %H:%M} UTC on"
