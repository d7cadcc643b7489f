"""What people decide after the gates: the review queue, who may do what in it, what they saw, and user reports.

A decision is a row that never changes; an item's end has to be earned by decision rows, and a `Clearance` by that end
(guards.py holds these rules as triggers). Assets are known by subject and digest only.
"""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from accounts.models import WRITTEN
from safety.review import guards as review_guards
from safety.row_history import history

SHA256 = r"^[0-9a-f]{64}$"


class ReviewClass(models.TextChoices):
    """What an item is looked at for: the classes of the frame gates, and what only people report."""

    CHILD_SAFETY = "child_safety", "Child safety"
    LIKENESS = "likeness", "Celebrity likeness"
    INTIMATE = "intimate", "Intimate imagery"
    VIOLENCE = "violence", "Violence and gore"
    DECEPTION = "deception", "Deceptive depiction"
    OTHER = "other", "Something else"


@history()
class ReviewPolicy(models.Model):
    """How items of a class are decided. One row per class; history by trigger."""

    review_class = models.CharField(max_length=20, choices=ReviewClass.choices, primary_key=True)
    people = models.PositiveSmallIntegerField(default=1)  # different people who have to agree
    reveal = models.BooleanField(default=True)  # whether a reviewer may ask for the clear frame
    withhold_reported = models.BooleanField(default=False)  # a reported clip isn't delivered meanwhile
    author = models.CharField(max_length=254)
    reason = models.TextField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="review_policy_class_known", condition=Q(review_class__in=ReviewClass.values)
            ),
            models.CheckConstraint(name="review_policy_people", condition=Q(people__gte=1, people__lte=2)),
            # Child safety: two named people, never a clear frame, never delivered meanwhile.
            models.CheckConstraint(
                name="review_policy_child_safety_is_strict",
                condition=~Q(review_class="child_safety") | Q(people=2, reveal=False, withhold_reported=True),
            ),
            models.CheckConstraint(name="review_policy_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]

    def __str__(self) -> str:
        return f"review policy of {self.review_class}"


@history()
class ReviewLimits(models.Model):
    """What one reviewer may be exposed to per day (UTC), and how long a claim and a clear frame last. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    reveals_per_day = models.PositiveIntegerField(default=60)
    minutes_per_day = models.PositiveIntegerField(default=240)
    claim_minutes = models.PositiveIntegerField(default=10)
    reveal_seconds = models.PositiveIntegerField(default=30)
    break_after_minutes = models.PositiveIntegerField(default=45)
    author = models.CharField(max_length=254)
    reason = models.TextField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="review_limits_one_row", condition=Q(id=1)),
            models.CheckConstraint(
                name="review_limits_sane",
                condition=Q(
                    reveals_per_day__lte=1000,
                    minutes_per_day__lte=600,
                    claim_minutes__gte=1,
                    claim_minutes__lte=60,
                    reveal_seconds__gte=5,
                    reveal_seconds__lte=120,
                ),
            ),
            models.CheckConstraint(name="review_limits_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]

    def __str__(self) -> str:
        return "limits of reviewers"


class Reviewer(models.Model):
    """Who may see and decide items of a class: one person, or (no person) everybody with the role trust & safety.

    Child safety is for named people alone. A permission is withdrawn, never deleted.
    """

    person = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    review_class = models.CharField(max_length=20, choices=ReviewClass.choices)
    decides_escalated = models.BooleanField(default=False)
    author = models.CharField(max_length=254)
    reason = models.TextField()
    granted_at = models.DateTimeField(db_default=Now())
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.CharField(max_length=254, blank=True, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="reviewer_once",
                fields=["person", "review_class"],
                condition=Q(withdrawn_at=None),
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="reviewer_class_known", condition=Q(review_class__in=ReviewClass.values)
            ),
            models.CheckConstraint(
                name="reviewer_of_child_safety_is_named",
                condition=~Q(review_class="child_safety") | Q(person__isnull=False),
            ),
            models.CheckConstraint(name="reviewer_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(
                name="reviewer_withdrawn_by_someone",
                condition=Q(withdrawn_at__isnull=True, withdrawn_by="")
                | Q(withdrawn_at__isnull=False, withdrawn_by__regex=WRITTEN),
            ),
        ]
        triggers = [pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.person_id or 'everybody'} reviews {self.review_class}"


class ReviewItem(models.Model):
    """One clip that a person has to look at. What it is about is fixed; how it ends is earned by decisions."""

    class Kind(models.TextChoices):
        SCAN = "scan", "Frame gates"  # not delivered yet; the gates ask
        REPORT = "report", "User report"
        PULL = "pull", "Pulled"
        RESCAN = "rescan", "Re-scan"

    class State(models.TextChoices):
        OPEN = "open", "Waits"
        ESCALATED = "escalated", "Escalated"
        PASSED = "passed", "Passed"
        REFUSED = "refused", "Refused"
        RETURNED = "returned", "Returned undecided"
        EXPIRED = "expired", "Nobody decided in time"

    WAITING = (State.OPEN, State.ESCALATED)

    subject = models.CharField(max_length=200)
    fence = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64)  # sha256 of the file that is decided on
    kind = models.CharField(max_length=8, choices=Kind.choices)
    review_class = models.CharField(max_length=20, choices=ReviewClass.choices)
    scan = models.ForeignKey("safety.Scan", null=True, on_delete=models.PROTECT, related_name="+")
    pull = models.CharField(max_length=40, blank=True, default="")  # which pull it came with, opaque here
    why = models.TextField()
    people = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    withheld = models.BooleanField(default=False)
    opened_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    # Which frames there are pictures of, clear and blurred; None until they were made.
    frames = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="review_item_waits_once",
                fields=["subject"],
                condition=Q(state__in=["open", "escalated"]),
            ),
            models.CheckConstraint(name="review_item_digest_is_sha256", condition=Q(digest__regex=SHA256)),
            models.CheckConstraint(
                name="review_item_kind_known", condition=Q(kind__in=["scan", "report", "pull", "rescan"])
            ),
            models.CheckConstraint(
                name="review_item_class_known", condition=Q(review_class__in=ReviewClass.values)
            ),
            models.CheckConstraint(name="review_item_people", condition=Q(people__gte=1, people__lte=2)),
            models.CheckConstraint(
                name="review_item_child_safety_two_people",
                condition=~Q(review_class="child_safety") | Q(people=2),
            ),
            models.CheckConstraint(name="review_item_why_written", condition=Q(why__regex=WRITTEN)),
            models.CheckConstraint(
                name="review_item_scan_named", condition=~Q(kind="scan") | Q(scan__isnull=False)
            ),
            models.CheckConstraint(
                name="review_item_state_whole",
                condition=Q(state__in=["open", "escalated"], closed_at__isnull=True)
                | Q(state__in=["passed", "refused", "returned", "expired"], closed_at__isnull=False),
            ),
        ]
        indexes = [
            # The queue: what waits, oldest first.
            models.Index(
                fields=["opened_at"], condition=Q(state__in=["open", "escalated"]), name="review_item_queue"
            ),
            models.Index(fields=["pull"], condition=~Q(pull=""), name="review_item_of_pull"),
            models.Index(F("subject"), F("opened_at").desc(), name="review_item_of_subject"),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="what_it_is_about_is_fixed",
                fields=["subject", "fence", "digest", "kind", "scan", "pull", "opened_at"],
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            review_guards.an_end_is_earned(),
        ]

    def __str__(self) -> str:
        return f"review {self.pk}: {self.review_class}, {self.state}"


class ReviewClaim(models.Model):
    """One person's turn at an item, under a lease by the database's clock. A person has one at a time."""

    class End(models.TextChoices):
        DECIDED = "decided"
        RELEASED = "released"
        EXPIRED = "expired"

    item = models.ForeignKey(ReviewItem, on_delete=models.PROTECT, related_name="claims")
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())
    lease_expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end = models.CharField(max_length=8, choices=End.choices, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_live_claim_per_item", fields=["item"], condition=Q(ended_at=None)
            ),
            models.UniqueConstraint(
                name="one_live_claim_per_person", fields=["person"], condition=Q(ended_at=None)
            ),
            models.CheckConstraint(
                name="review_claim_end_named",
                condition=Q(ended_at__isnull=True, end="")
                | Q(ended_at__isnull=False, end__in=["decided", "released", "expired"]),
            ),
            models.CheckConstraint(
                name="review_claim_lease_lies_ahead",
                condition=Q(lease_expires_at__gt=F("at")),
            ),
        ]
        indexes = [models.Index(fields=["person", "at"], name="review_claim_of_person")]
        triggers = [
            pgtrigger.ReadOnly(name="claim_is_fixed", fields=["item", "person", "at"]),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"claim of {self.item_id} by {self.person_id}"


class ReviewDecision(models.Model):
    """What one person decided on an item, and why. Append-only; only under a live claim and a permission."""

    class Verdict(models.TextChoices):
        PASS = "pass", "Pass"
        BLOCK = "block", "Block"
        ESCALATE = "escalate", "Escalate"

    item = models.ForeignKey(ReviewItem, on_delete=models.PROTECT, related_name="decisions")
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    reason = models.TextField()
    escalated = models.BooleanField(default=False)  # taken on an escalated item; set by the database
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_decision_per_person_and_item", fields=["item", "person"]),
            models.CheckConstraint(
                name="review_verdict_known", condition=Q(verdict__in=["pass", "block", "escalate"])
            ),
            models.CheckConstraint(name="review_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = [*append_only(), review_guards.a_decision_takes_a_claim()]

    def __str__(self) -> str:
        return f"{self.verdict} of {self.item_id}"


class Clearance(models.Model):
    """People let out exactly this file, which the gates had left to them. Append-only.

    Beside a passed scan it is the only thing that may be signed and delivered. Child safety can't be cleared.
    """

    item = models.OneToOneField(ReviewItem, on_delete=models.PROTECT, related_name="clearance")
    scan = models.OneToOneField("safety.Scan", on_delete=models.PROTECT, related_name="clearance")
    subject = models.CharField(max_length=200)
    fence = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="clearance_digest_is_sha256", condition=Q(digest__regex=SHA256))
        ]
        indexes = [models.Index(fields=["digest"], name="clearance_of_digest")]
        triggers = [*append_only(), review_guards.a_clearance_is_earned()]

    def __str__(self) -> str:
        return f"clearance of {self.digest[:12]}"


class Exposure(models.Model):
    """A reviewer asked for the clear frames of an item. Append-only; the database refuses it for child safety."""

    item = models.ForeignKey(ReviewItem, on_delete=models.PROTECT, related_name="exposures")
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["person", "at"], name="exposure_of_person")]
        triggers = [*append_only(), review_guards.no_clear_frame_of_child_safety()]

    def __str__(self) -> str:
        return f"exposure of {self.person_id} to {self.item_id}"


class UserReport(models.Model):
    """Somebody says that a clip should not be there. Text is kept for reviewers alone."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CONFIRMED = "confirmed", "Confirmed"
        DISMISSED = "dismissed", "Not confirmed"

    subject = models.CharField(max_length=200)
    category = models.CharField(max_length=20, choices=ReviewClass.choices)
    text = models.TextField(max_length=2000, blank=True)
    reporter = models.CharField(max_length=80)  # user:12, key:5 or a visitor's keyed hash
    organization = models.ForeignKey(
        "accounts.Organization", null=True, on_delete=models.PROTECT, related_name="+"
    )
    item = models.ForeignKey(ReviewItem, on_delete=models.PROTECT, related_name="reports")
    at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_open_report_per_reporter",
                fields=["reporter", "subject"],
                condition=Q(state="open"),
            ),
            models.CheckConstraint(
                name="report_category_known", condition=Q(category__in=ReviewClass.values)
            ),
            models.CheckConstraint(
                name="report_state_whole",
                condition=Q(state="open", closed_at__isnull=True)
                | Q(state__in=["confirmed", "dismissed"], closed_at__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["reporter", "at"], name="report_of_reporter")]
        triggers = [
            pgtrigger.ReadOnly(
                name="report_is_fixed",
                fields=["subject", "category", "text", "reporter", "organization", "item", "at"],
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"report {self.pk}: {self.category}"
