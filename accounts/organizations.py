"""Organizations: how one comes to be, with its first owner and its tier."""

import re
import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit
from accounts.errors import ApiError
from accounts.models import Enrollment, Membership, Organization, Tier, User

# Backlot's own, whose jobs see that all works: no figure of customers counts it, so none may come to be called so.
OWN = "backlot-synthetic"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SLUG_STEM = 50  # leaves room for a suffix
SUFFIX_TRIES = 5
# The first tier counts from a little before, or a machine whose clock runs behind would see an organization
# without limits and have to refuse it.
CLOCK_TOLERANCE = timedelta(minutes=5)


def create(name: str, tier_slug: str, owner: User, slug: str | None = None) -> Organization:
    """A new organization on a tier, owned by `owner`, audited; one transaction.

    Without `slug` one is made from the name, with a random suffix where it is taken; a given one is kept as
    is. Raises `ApiError` for a blank name, an unknown tier, a slug that is malformed or taken.
    """
    name = name.strip()[:120]
    if not name:
        raise ApiError("invalid_value", "Give the organization a name.", param="name")
    if not Tier.objects.filter(slug=tier_slug).exists():
        raise ApiError("invalid_value", f"There is no tier named {tier_slug}.", param="tier")
    with transaction.atomic():
        organization = _insert(name, slug)
        Membership.objects.create(organization=organization, user=owner, role=Membership.Role.OWNER)
        Enrollment.objects.create(
            organization=organization,
            tier_id=tier_slug,
            effective_from=timezone.now() - CLOCK_TOLERANCE,
            author=owner.email,
            reason="the organization was created",
        )
        audit.record(
            actor=owner,
            action="organization.create",
            target=f"organization:{organization.slug}",
            reason="the organization was created",
            before=None,
            after={"name": organization.name, "slug": organization.slug, "tier": tier_slug},
            organization=organization,
        )
    return organization


def add_member(organization: Organization, user: User, role: str, by: User | str, reason: str) -> bool:
    """Add a person, audited. False where they belong to the organization already, in whatever role."""
    role = Membership.Role(role)
    with transaction.atomic():
        _, new = Membership.objects.get_or_create(
            organization=organization, user=user, defaults={"role": role}
        )
        if new:
            audit.record(
                actor=by,
                action="membership.create",
                target=f"user:{user.email}",
                reason=reason,
                before=None,
                after={"role": role},
                organization=organization,
            )
    return new


def _insert(name: str, slug: str | None) -> Organization:
    """Insert under the first slug that is free; the unique index decides, so two sign-ups can't share one."""
    for candidate in [slug] if slug else _candidates(name):
        if not SLUG.fullmatch(candidate) or len(candidate) > 60:
            message = "A slug is lower-case letters, digits and single hyphens, at most 60 of them."
            raise ApiError("invalid_value", message, param="slug")
        try:
            with transaction.atomic():
                return Organization.objects.create(name=name, slug=candidate)
        except IntegrityError:
            if not Organization.objects.filter(slug=candidate).exists():
                raise
    raise ApiError("invalid_value", "That slug is taken. Choose another.", param="slug")


def _candidates(name: str) -> list[str]:
    stem = re.sub(r"[^a-z0-9]+", "-", slugify(name))[:SLUG_STEM].strip("-") or "organization"
    return [
        *([] if stem == OWN else [stem]),
        *(f"{stem}-{secrets.token_hex(3)}" for _ in range(SUFFIX_TRIES)),
    ]
