"""User reports: somebody says that a clip should not be there. Each opens a review item, or joins a waiting one."""

import hashlib
from datetime import timedelta

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.errors import ApiError
from accounts.models import Organization
from safety.models import ReviewClass, ReviewItem, ReviewPolicy, UserReport
from safety.review import queue as review

MOST_PER_HOUR = 10
MOST_TEXT = 2000


def submit(
    subject: str,
    digest: str,
    *,
    category: str,
    text: str,
    reporter: str,
    organization: Organization | None,
    fence: int = 0,
) -> UserReport:
    """Store a report and open its review item; the reporter's open report of the same subject is returned as it is.

    `reporter` is stable and opaque ("user:12"). Raises `ApiError`: invalid_value, rate_limit_exceeded.
    """
    check(category, text)
    with transaction.atomic():
        _one_at_a_time(reporter)
        earlier = UserReport.objects.filter(
            reporter=reporter, subject=subject, state=UserReport.State.OPEN
        ).first()
        if earlier is not None:
            return earlier
        _count(reporter)
        withhold = ReviewPolicy.objects.filter(pk=category, withhold_reported=True).exists()
        item = review.open_item(
            subject,
            digest,
            kind=ReviewItem.Kind.REPORT,
            review_class=category,
            why=f"Reported as {ReviewClass(category).label.lower()}",
            fence=fence,
            withheld=withhold,
        )
        return UserReport.objects.create(
            subject=subject,
            category=category,
            text=text.strip(),
            reporter=reporter,
            organization=organization,
            item=item,
        )


def check(category: str, text: str) -> None:
    """Refuse what is no report."""
    if category not in ReviewClass.values:
        known = ", ".join(ReviewClass.values)
        raise ApiError("invalid_value", f"Give a category: {known}.", param="category")
    if len(text) > MOST_TEXT:
        raise ApiError("invalid_value", f"Say it in {MOST_TEXT} characters at most.", param="text")


def _one_at_a_time(reporter: str) -> None:
    """Two requests of one reporter at once count one after the other."""
    number = int.from_bytes(hashlib.sha256(f"report:{reporter}".encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def _count(reporter: str) -> None:
    recent = UserReport.objects.filter(reporter=reporter, at__gt=Now() - timedelta(hours=1))
    if recent.count() >= MOST_PER_HOUR:
        message = f"You have sent {MOST_PER_HOUR} reports within the hour. They are being looked at; try again later."
        raise ApiError("rate_limit_exceeded", message, retry_after_s=3600)
