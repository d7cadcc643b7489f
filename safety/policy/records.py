"""Rows of live policy beside rules and thresholds, and the golden sets. `models.py` imports them for Django.

Each policy is a baseline row, whose history triggers keep, and overrides that may expire; what is in force is derived
by `accounts.overrides`. Golden cases only grow: they are never changed or deleted, at most retired with a reason.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import WRITTEN, Override
from safety import triggers
from safety.row_history import history

SHARES = ["block_score", "review_score"]
REVIEW_LEVELS = ["by_score", "any_sign", "everything"]
SHA256 = r"^[0-9a-f]{64}$"


class LikenessKind(models.TextChoices):
    """Whose likeness a gate saw, by the evidence key `likeness_kind`."""

    PRIVATE_PERSON = "private_person", "Private person"
    PUBLIC_FIGURE = "public_figure", "Public figure"
    POLITICIAN = "politician", "Politician"


class Faces(models.TextChoices):
    """What becomes of a clip with a face in it, apart from whose face it is."""

    ALLOW = "allow", "Delivered"
    REVIEW = "review", "Sent to review"
    BLOCK = "block", "Blocked"


class ReviewLevel(models.TextChoices):
    """What goes to a person instead of being delivered, per class of frames."""

    BY_SCORE = "by_score", "From the review score on"
    ANY_SIGN = "any_sign", "Any score above 0"
    EVERYTHING = "everything", "Every clip"


@history()
class LikenessThreshold(models.Model):
    """The baseline scores of one kind of person; `Threshold` of the class likeness is for a kind that nobody told."""

    kind = models.CharField(max_length=20, choices=LikenessKind.choices, unique=True)
    block_score = models.FloatField()
    review_score = models.FloatField()
    author = models.CharField(max_length=254)
    reason = models.TextField()
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="likeness_threshold_kind_known", condition=Q(kind__in=LikenessKind.values)
            ),
            models.CheckConstraint(
                name="likeness_threshold_in_order",
                condition=Q(review_score__gt=0, review_score__lte=F("block_score"), block_score__lte=1),
            ),
            models.CheckConstraint(
                name="likeness_threshold_reason_written", condition=Q(reason__regex=WRITTEN)
            ),
        ]
        triggers = [triggers.counts_versions(), triggers.bumps_policy("frames")]

    def __str__(self) -> str:
        return f"likeness of a {self.get_kind_display().lower()} v{self.version}"


class LikenessThresholdOverride(Override):
    """One live change of a score for one kind of person."""

    threshold = models.ForeignKey(LikenessThreshold, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(name="likeness_override_field_known", condition=Q(field__in=SHARES)),
            models.CheckConstraint(
                name="likeness_override_is_a_share", condition=Q(value__gt=0, value__lte=1)
            ),
        ]
        indexes = [
            models.Index(
                fields=["threshold"], condition=Q(removed_at=None), name="likeness_override_standing"
            )
        ]
        triggers = [triggers.bumps_policy("frames")]


@history()
class ScanPolicy(models.Model):
    """The one baseline row of what holds for every scan: faces, and how much of each class goes to review.

    Child safety has no review level: whatever reaches its score blocks.
    """

    name = models.CharField(max_length=8, primary_key=True, default="scans")
    faces = models.CharField(max_length=8, choices=Faces.choices, default=Faces.ALLOW)
    likeness = models.CharField(max_length=12, choices=ReviewLevel.choices, default=ReviewLevel.BY_SCORE)
    intimate = models.CharField(max_length=12, choices=ReviewLevel.choices, default=ReviewLevel.BY_SCORE)
    violence = models.CharField(max_length=12, choices=ReviewLevel.choices, default=ReviewLevel.BY_SCORE)
    author = models.CharField(max_length=254)
    reason = models.TextField()
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="scan_policy_is_one", condition=Q(name="scans")),
            models.CheckConstraint(name="scan_policy_faces_known", condition=Q(faces__in=Faces.values)),
            models.CheckConstraint(
                name="scan_policy_levels_known",
                condition=Q(
                    likeness__in=REVIEW_LEVELS, intimate__in=REVIEW_LEVELS, violence__in=REVIEW_LEVELS
                ),
            ),
            models.CheckConstraint(name="scan_policy_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = [triggers.counts_versions(), triggers.bumps_policy("frames")]

    def __str__(self) -> str:
        return f"scan policy v{self.version}"


class ScanPolicyOverride(Override):
    """One live change of what holds for every scan."""

    policy = models.ForeignKey(ScanPolicy, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                name="scan_policy_override_known",
                condition=Q(field="faces", value__in=Faces.values)
                | Q(field__in=["likeness", "intimate", "violence"], value__in=REVIEW_LEVELS),
            ),
        ]
        indexes = [
            models.Index(
                fields=["policy"], condition=Q(removed_at=None), name="scan_policy_override_standing"
            )
        ]
        triggers = [triggers.bumps_policy("frames")]


@history()
class PromptCategory(models.Model):
    """What a prompt can be about, of the text filter or benign, and whether requests for it are taken."""

    slug = models.CharField(max_length=30, primary_key=True)
    label = models.CharField(max_length=60)
    benign = models.BooleanField()
    clip_suspended = models.BooleanField(default=False)
    code_suspended = models.BooleanField(default=False)
    author = models.CharField(max_length=254)
    reason = models.TextField()
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="prompt_category_slug_plain", condition=Q(slug__regex=r"^[a-z_]+$")),
            models.CheckConstraint(name="prompt_category_labelled", condition=Q(label__regex=WRITTEN)),
            models.CheckConstraint(name="prompt_category_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = [triggers.counts_versions(), triggers.bumps_policy("text")]
        verbose_name_plural = "prompt categories"

    def __str__(self) -> str:
        return self.slug


class PromptCategoryOverride(Override):
    """One suspension, or its lifting, of a prompt category for clips or for code."""

    category = models.ForeignKey(PromptCategory, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                name="category_override_known",
                condition=Q(field__in=["clip_suspended", "code_suspended"], value__in=[True, False]),
            ),
        ]
        indexes = [
            models.Index(fields=["category"], condition=Q(removed_at=None), name="category_override_standing")
        ]
        triggers = [triggers.bumps_policy("text")]


class RuleOverride(Override):
    """A rule switched on or off for a time; the rule's own `live` is what it returns to."""

    rule = models.ForeignKey("safety.Rule", on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                name="rule_override_known", condition=Q(field="live", value__in=[True, False])
            ),
        ]
        indexes = [models.Index(fields=["rule"], condition=Q(removed_at=None), name="rule_override_standing")]
        triggers = [triggers.bumps_policy("text")]


class GoldenCase(models.Model):
    """One case that the filters are held to: a prompt, or a picture by its recipe. Append-only, at most retired."""

    class Suite(models.TextChoices):
        GOLDEN = "golden", "Golden prompts"
        ADVERSARIAL = "adversarial", "Adversarial prompts"
        FRAMES = "frames", "Frames"

    class Expected(models.TextChoices):
        PASS = "must_pass", "Must pass"
        BLOCK = "must_block", "Must be blocked"

    suite = models.CharField(max_length=12, choices=Suite.choices)
    expected = models.CharField(max_length=10, choices=Expected.choices)
    category = models.CharField(max_length=30, blank=True, default="")  # of what must be blocked
    kinds = ArrayField(models.CharField(max_length=8), default=list)  # clip, code; empty for frames
    text = models.TextField(blank=True, default="")
    recipe = models.JSONField(null=True)  # safety.golden.pictures draws it: numbers and names, never content
    source = models.CharField(max_length=200)  # the file, or what it came from, such as review:12
    reason = models.TextField()
    author = models.CharField(max_length=254)
    digest = models.CharField(max_length=64)  # of what is asked: the same case stands once
    created_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)
    retired_by = models.CharField(max_length=254, blank=True, default="")
    retired_reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="golden_case_suite_known", condition=Q(suite__in=["golden", "adversarial", "frames"])
            ),
            models.CheckConstraint(
                name="golden_case_expected_known",
                condition=Q(expected="must_pass", category="") | (Q(expected="must_block") & ~Q(category="")),
            ),
            models.CheckConstraint(
                name="golden_case_whole",
                condition=Q(suite="frames", text="", recipe__isnull=False, kinds__len=0)
                | Q(
                    suite__in=["golden", "adversarial"],
                    text__regex=WRITTEN,
                    recipe__isnull=True,
                    kinds__contained_by=["clip", "code"],
                    kinds__len__gte=1,
                ),
            ),
            models.CheckConstraint(
                name="golden_case_signed",
                condition=Q(source__regex=WRITTEN, reason__regex=WRITTEN, author__regex=WRITTEN),
            ),
            models.CheckConstraint(name="golden_case_digest", condition=Q(digest__regex=SHA256)),
            models.CheckConstraint(
                name="golden_case_retired_whole",
                condition=Q(retired_at__isnull=True, retired_by="", retired_reason="")
                | Q(retired_at__isnull=False, retired_by__regex=WRITTEN, retired_reason__regex=WRITTEN),
            ),
            models.UniqueConstraint(name="golden_case_once", fields=["digest"], condition=Q(retired_at=None)),
        ]
        triggers = triggers.golden_cases_only_grow()

    def __str__(self) -> str:
        return f"{self.suite} case {self.pk}"


class GoldenFinding(models.Model):
    """What one gate, in one version, said of one golden picture for one class; a later look replaces it."""

    case = models.ForeignKey(GoldenCase, on_delete=models.CASCADE, related_name="findings")
    gate = models.CharField(max_length=40)
    gate_version = models.CharField(max_length=40)
    frame_class = models.CharField(max_length=20)
    sees_faces = models.BooleanField(default=False)
    score = models.FloatField()
    usable = models.BooleanField()
    available = models.BooleanField()
    evidence = models.JSONField(default=dict)
    looked_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="golden_finding_once", fields=["case", "gate", "frame_class"])
        ]


class GoldenReading(models.Model):
    """What the text filter said of a golden prompt for a kind of request; a later look replaces it."""

    case = models.ForeignKey(GoldenCase, on_delete=models.CASCADE, related_name="readings")
    kind = models.CharField(max_length=8)
    allowed = models.BooleanField()
    category = models.CharField(max_length=30, blank=True, default="")
    stage = models.CharField(max_length=20, blank=True, default="")
    topic = models.CharField(max_length=30, blank=True, default="")
    scores = models.JSONField(default=dict)
    looked_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(name="golden_reading_once", fields=["case", "kind"])]
