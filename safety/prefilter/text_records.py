"""Rows behind the later stages of the text filter: rule examples, and from which scores they and the classifier refuse.

`models.py` imports them for Django. Every change raises the version of the policy `text`: the next screening sees it.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import WRITTEN, Override
from safety import triggers
from safety.row_history import history

KINDS = ["clip", "code"]
TEXT_CATEGORIES = [
    "jailbreak",
    "prompt_injection",
    "child_safety",
    "sexual",
    "likeness",
    "violence",
    "deception",
]
SCORES = ["similarity_score", "classifier_score", "guard_score"]


@history()
class TextExample(models.Model):
    """A text to refuse, and whatever means nearly the same: an embedding is compared with every live example."""

    text = models.TextField()
    category = models.CharField(max_length=20)
    kinds = ArrayField(models.CharField(max_length=8))  # clip, code
    author = models.CharField(max_length=254)  # an e-mail address, or the part of the system that made it
    reason = models.TextField()
    live = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="text_example_written", condition=Q(text__regex=WRITTEN)),
            models.CheckConstraint(name="text_example_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(name="text_example_author_named", condition=Q(author__regex=WRITTEN)),
            models.CheckConstraint(
                name="text_example_category_known", condition=Q(category__in=TEXT_CATEGORIES)
            ),
            models.CheckConstraint(
                name="text_example_kinds_known",
                condition=Q(kinds__contained_by=KINDS) & Q(kinds__len__gte=1),
            ),
            models.UniqueConstraint(name="text_example_once", fields=["category", "text"]),
        ]
        triggers = [triggers.counts_versions(), triggers.bumps_policy("text")]

    def __str__(self) -> str:
        return f"{self.category} example {self.pk} v{self.version}"


@history()
class TextThreshold(models.Model):
    """From which scores a category is refused in clips or code: nearness to an example, classifier, guard.

    Shares of 1; 1.01 switches a stage off for the category. The classifier's 0.5 is where its calibration refuses.
    """

    category = models.CharField(max_length=20)
    kind = models.CharField(max_length=8)
    similarity_score = models.FloatField()
    classifier_score = models.FloatField()
    guard_score = models.FloatField(default=0.5)
    author = models.CharField(max_length=254)
    reason = models.TextField()
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="text_threshold_one_each", fields=["category", "kind"]),
            models.CheckConstraint(
                name="text_threshold_category_known", condition=Q(category__in=TEXT_CATEGORIES)
            ),
            models.CheckConstraint(name="text_threshold_kind_known", condition=Q(kind__in=KINDS)),
            # A score of 0 would refuse every text; above 1.01 a slip of the comma would look like a setting.
            models.CheckConstraint(
                name="text_threshold_scores_are_shares",
                condition=Q(
                    similarity_score__gt=0,
                    similarity_score__lte=1.01,
                    classifier_score__gt=0,
                    classifier_score__lte=1.01,
                    guard_score__gt=0,
                    guard_score__lte=1.01,
                ),
            ),
            # A category for which nothing but rules is left is a suspension of the filter, not a threshold.
            models.CheckConstraint(
                name="text_threshold_child_safety_stays_on",
                condition=~Q(category="child_safety") | Q(similarity_score__lte=1, classifier_score__lte=1),
            ),
            models.CheckConstraint(name="text_threshold_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = [triggers.counts_versions(), triggers.bumps_policy("text")]

    def __str__(self) -> str:
        return f"{self.category} in {self.kind} v{self.version}"


class TextThresholdOverride(Override):
    """One live change of a score of the text filter; what is in force is derived from the baseline and these."""

    FIELDS = tuple(SCORES)
    threshold = models.ForeignKey(TextThreshold, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(name="text_override_field_known", condition=Q(field__in=SCORES)),
            models.CheckConstraint(
                name="text_override_is_a_share", condition=Q(value__gt=0, value__lte=1.01)
            ),
        ]
        indexes = [
            models.Index(fields=["threshold"], condition=Q(removed_at=None), name="text_override_standing")
        ]
        triggers = [triggers.bumps_policy("text")]
