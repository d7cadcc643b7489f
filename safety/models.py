"""What safety knows and what it has seen: rules, thresholds, hash lists, scans with verdicts, credentials.

Assets are known by an opaque `subject` and a sha256 digest only. Policy rows (rules, thresholds, hashes)
change and keep their history; evidence rows (verdicts, credentials, finished scans) never change.
"""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Now

from accounts.append_only import append_only
from accounts.models import WRITTEN, Override
from safety import triggers
from safety.credentials.signing_records import SignerKey  # noqa: F401
from safety.incident_records import IncidentNote, SafetyIncident  # noqa: F401
from safety.policy.records import (  # noqa: F401  Django finds them here
    GoldenCase,
    GoldenFinding,
    GoldenReading,
    LikenessThreshold,
    LikenessThresholdOverride,
    PromptCategory,
    PromptCategoryOverride,
    RuleOverride,
    ScanPolicy,
    ScanPolicyOverride,
)
from safety.postfilter.frame_records import HashVariant, Likeness  # noqa: F401  Django finds them here
from safety.prefilter.patterns import BadPattern, compile_pattern
from safety.prefilter.text_records import TextExample, TextThreshold, TextThresholdOverride  # noqa: F401
from safety.review.records import (  # noqa: F401
    Clearance,
    Exposure,
    ReviewClaim,
    ReviewClass,
    ReviewDecision,
    Reviewer,
    ReviewItem,
    ReviewLimits,
    ReviewPolicy,
    UserReport,
)
from safety.row_history import history

SHA256 = r"^[0-9a-f]{64}$"


class Category(models.TextChoices):
    """What a text can be refused for."""

    JAILBREAK = "jailbreak", "Jailbreak"
    PROMPT_INJECTION = "prompt_injection", "Prompt injection"
    CHILD_SAFETY = "child_safety", "Child safety"
    SEXUAL = "sexual", "Sexual content"
    LIKENESS = "likeness", "Likeness of a real person"
    VIOLENCE = "violence", "Violence"
    DECEPTION = "deception", "Deceptive depiction of real events"


class FrameClass(models.TextChoices):
    """What a frame is looked at for. Deceptive depiction can't be seen in frames: provenance answers it."""

    CHILD_SAFETY = "child_safety", "Child safety"
    LIKENESS = "likeness", "Celebrity likeness"
    INTIMATE = "intimate", "Intimate imagery"
    VIOLENCE = "violence", "Violence and gore"


SAMPLED_CLASSES = (FrameClass.LIKENESS, FrameClass.INTIMATE, FrameClass.VIOLENCE)


class PolicyVersion(models.Model):
    """One row per live policy (`text`, `frames`); triggers raise the version with every change of it."""

    name = models.CharField(max_length=20, primary_key=True)
    version = models.BigIntegerField()
    changed_at = models.DateTimeField()


@history()
class Rule(models.Model):
    """A linear-time regular expression (RE2) that refuses a text, from the next request on."""

    class Severity(models.TextChoices):
        BLOCK = "block", "Block"

    pattern = models.TextField()  # RE2 syntax; matched without regard to case against the normalised text
    category = models.CharField(max_length=20, choices=Category.choices)
    kinds = ArrayField(models.CharField(max_length=8))  # clip, code
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.BLOCK)
    author = models.CharField(max_length=254)  # an e-mail address, or the part of the system that made it
    reason = models.TextField()
    live = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="rule_pattern_written", condition=Q(pattern__regex=WRITTEN)),
            models.CheckConstraint(name="rule_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(name="rule_author_named", condition=Q(author__regex=WRITTEN)),
            models.CheckConstraint(name="rule_severity_known", condition=Q(severity__in=["block"])),
            models.CheckConstraint(name="rule_category_known", condition=Q(category__in=Category.values)),
            models.CheckConstraint(
                name="rule_kinds_known",
                condition=Q(kinds__contained_by=["clip", "code"]) & Q(kinds__len__gte=1),
            ),
        ]
        triggers = [triggers.counts_versions(), triggers.bumps_policy("text")]

    def __str__(self) -> str:
        return f"{self.category} rule {self.pk} v{self.version}"

    def save(self, *args, **kwargs) -> None:
        self.clean()
        super().save(*args, **kwargs)
        self.refresh_from_db(fields=["version", "created_at", "changed_at"])

    def clean(self) -> None:
        """Raises ValidationError on `pattern` with RE2's own words about what it can't read."""
        super().clean()
        try:
            compile_pattern(self.pattern)
        except BadPattern as error:
            raise ValidationError({"pattern": str(error)}) from error


@history()
class Threshold(models.Model):
    """The baseline scores of a frame class: from `block_score` on a frame blocks, from `review_score` on a
    person looks.

    Scores are shares of 1. Child safety knows no review: whatever reaches its score blocks.
    """

    frame_class = models.CharField(max_length=20, choices=FrameClass.choices, unique=True)
    block_score = models.FloatField()
    review_score = models.FloatField()
    author = models.CharField(max_length=254)
    reason = models.TextField()
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="threshold_class_known", condition=Q(frame_class__in=FrameClass.values)
            ),
            # A score of 0 would refuse every frame, one above 1 none at all.
            models.CheckConstraint(
                name="threshold_scores_in_order",
                condition=Q(review_score__gt=0, review_score__lte=F("block_score"), block_score__lte=1),
            ),
            models.CheckConstraint(
                name="threshold_child_safety_blocks",
                condition=~Q(frame_class="child_safety") | Q(review_score=F("block_score")),
            ),
            models.CheckConstraint(name="threshold_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = [triggers.counts_versions(), triggers.bumps_policy("frames")]

    def __str__(self) -> str:
        return f"{self.frame_class} v{self.version}"


class ThresholdOverride(Override):
    """One live change of a threshold's score; the effective value is derived from the baseline and these."""

    FIELDS = ("block_score", "review_score")
    threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                name="threshold_override_field_known", condition=Q(field__in=["block_score", "review_score"])
            ),
            # JSON orders text below numbers and truth values above: this lets numbers in (0, 1] through, no more.
            models.CheckConstraint(
                name="threshold_override_is_a_share", condition=Q(value__gt=0, value__lte=1)
            ),
        ]
        indexes = [
            # Read before every scan: the overrides that stand.
            models.Index(
                fields=["threshold"], condition=Q(removed_at=None), name="threshold_override_standing"
            ),
        ]
        triggers = [triggers.bumps_policy("frames")]


@history()
class HashEntry(models.Model):
    """A perceptual hash (PDQ, 256 bits) of a picture that must not leave; within `radius` bits is a match."""

    pdq = models.CharField(max_length=64)  # 64 hex digits, the most significant bit first
    frame_class = models.CharField(max_length=20, choices=FrameClass.choices, default=FrameClass.CHILD_SAFETY)
    source = models.CharField(max_length=80)  # the list it came from
    radius = models.PositiveSmallIntegerField(default=31)  # bits that may differ, inclusive
    note = models.TextField(blank=True)
    author = models.CharField(max_length=254)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="hash_entry_once", fields=["pdq", "frame_class", "source"]),
            models.CheckConstraint(name="hash_entry_is_pdq", condition=Q(pdq__regex=SHA256)),
            models.CheckConstraint(
                name="hash_entry_class_known", condition=Q(frame_class__in=FrameClass.values)
            ),
            # Half of 256 bits differ between unrelated pictures; far below that, matches are still meant.
            models.CheckConstraint(name="hash_entry_radius_sane", condition=Q(radius__lte=64)),
            models.CheckConstraint(name="hash_entry_source_named", condition=Q(source__regex=WRITTEN)),
        ]
        # A version of its own too: a list of a million hashes is loaded anew only where the list itself has changed.
        triggers = [triggers.bumps_policy("frames"), triggers.bumps_policy("hashes", "bumps_hashes")]
        verbose_name_plural = "hash entries"


class Scan(models.Model):
    """One look at all frames of an asset. Written at the start, finished once, then never changed."""

    class Purpose(models.TextChoices):
        FINAL = "final", "Final"  # the encoded file that is to be delivered
        PREVIEW = "preview", "Preview"  # the early look; never replaces the final scan
        INPUT = "input", "Input picture"  # what a clip is to begin from, before it may be queued
        RESCAN = "rescan", "Re-scan"  # a delivered file, looked at again; never lets anything out

    class Result(models.TextChoices):
        PASS = "pass", "Pass"
        BLOCK = "block", "Block"
        REVIEW = "review", "Review"
        UNAVAILABLE = "unavailable", "Unavailable"

    subject = models.CharField(max_length=200)  # opaque: whose frames these are
    fence = models.BigIntegerField()  # the fencing number of the attempt that made them
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    # sha256 of the scanned file; frames alone have none, and null is plainer than an empty digest
    digest = models.CharField(max_length=64, null=True)  # noqa: DJ001
    frames_total = models.PositiveIntegerField(null=True)
    frames_scanned = models.JSONField(default=dict)  # class → number of frames with a verdict
    verdict = models.CharField(max_length=12, choices=Result.choices, null=True)  # noqa: DJ001
    reason = models.TextField(blank=True, default="")  # why it is no pass, for staff
    policy_version = models.BigIntegerField()  # of the `frames` policy it was taken under
    elapsed_ms = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="scan_purpose_known", condition=Q(purpose__in=["final", "preview", "input", "rescan"])
            ),
            models.CheckConstraint(
                name="scan_verdict_known",
                condition=Q(verdict__isnull=True) | Q(verdict__in=["pass", "block", "review", "unavailable"]),
            ),
            models.CheckConstraint(
                name="scan_finished_with_verdict",
                condition=Q(finished_at__isnull=True, verdict__isnull=True)
                | Q(finished_at__isnull=False, verdict__isnull=False, elapsed_ms__isnull=False),
            ),
            # A passed final scan without a digest could be claimed for any file.
            models.CheckConstraint(
                name="scan_digest_is_sha256",
                condition=Q(digest__isnull=False, digest__regex=SHA256)
                | Q(digest__isnull=True)
                & (Q(purpose="preview") | Q(verdict__isnull=True) | ~Q(verdict="pass")),
            ),
            # The trigger counts the verdict rows; this holds even where somebody has switched it off.
            models.CheckConstraint(
                name="scan_pass_saw_every_frame",
                condition=Q(verdict__isnull=True)
                | ~Q(verdict="pass")
                | Q(
                    frames_total__isnull=False,
                    frames_total__gte=1,
                    frames_total=Coalesce(
                        Cast(KT("frames_scanned__child_safety"), models.IntegerField()), Value(-1)
                    ),
                ),
            ),
        ]
        indexes = [
            # The delivery guard: a passed final scan of this digest for this subject and fence.
            models.Index(fields=["digest"], condition=Q(verdict="pass"), name="scan_passed_digest"),
            # The job page: the scans of one asset, newest first.
            models.Index(F("subject"), F("started_at").desc(), name="scan_of_subject"),
        ]
        triggers = [
            *triggers.finished_scans_are_kept(),
            triggers.a_pass_is_earned(tuple(name.value for name in SAMPLED_CLASSES)),
        ]


class Verdict(models.Model):
    """What one gate said about one frame for one class, and under which versions. Append-only."""

    class Outcome(models.TextChoices):
        PASS = "pass", "Pass"
        REVIEW = "review", "Review"
        BLOCK = "block", "Block"
        UNUSABLE = "unusable", "Unusable"  # the gate can't judge this frame: never "clean"
        UNAVAILABLE = "unavailable", "Unavailable"  # the gate failed, was late or is missing

    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, related_name="verdicts")
    gate = models.CharField(max_length=40)
    gate_version = models.CharField(max_length=40)
    frame_class = models.CharField(max_length=20, choices=FrameClass.choices)
    frame_index = models.PositiveIntegerField(null=True)  # null: the gate as a whole
    score = models.FloatField()
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    threshold_version = models.CharField(max_length=120)  # "3", or "3+o17" under override 17
    evidence = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="verdict_once", fields=["scan", "frame_class", "frame_index", "gate"]
            ),
            models.CheckConstraint(
                name="verdict_outcome_known",
                condition=Q(outcome__in=["pass", "review", "block", "unusable", "unavailable"]),
            ),
            models.CheckConstraint(
                name="verdict_class_known", condition=Q(frame_class__in=FrameClass.values)
            ),
            models.CheckConstraint(
                name="verdict_names_a_frame",
                condition=Q(frame_index__isnull=False) | Q(outcome="unavailable"),
            ),
        ]
        triggers = [*append_only(), triggers.no_verdict_after_the_end()]


class Credential(models.Model):
    """One signing: which bytes went in, which came out, and how they verified afterwards. Append-only."""

    subject = models.CharField(max_length=200)
    fence = models.BigIntegerField()
    unsigned_digest = models.CharField(max_length=64)  # sha256 of the file that was signed
    # sha256 of the scanned file whose frames a picture was made from; null where the signed file itself was scanned
    scanned_digest = models.CharField(max_length=64, null=True)  # noqa: DJ001
    signed_digest = models.CharField(max_length=64, unique=True)  # sha256 of the file that may be delivered
    state = models.CharField(max_length=40)  # as verified: Trusted, Valid, Invalid, ManifestNotFound …
    manifest_label = models.CharField(max_length=200, blank=True)
    signer_fingerprint = models.CharField(max_length=64)  # sha256 of the leaf certificate, hex
    claims = models.JSONField()
    verified_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="credential_digests_are_sha256",
                condition=Q(unsigned_digest__regex=SHA256, signed_digest__regex=SHA256)
                & Q(signer_fingerprint__regex=SHA256)
                & (Q(scanned_digest__isnull=True) | Q(scanned_digest__regex=SHA256)),
            ),
            models.CheckConstraint(
                name="credential_signing_changes_the_file",
                condition=~Q(unsigned_digest=F("signed_digest")),
            ),
        ]
        indexes = [
            # The job page: the credentials of one asset.
            models.Index(fields=["subject"], name="credential_of_subject"),
        ]
        triggers = append_only()
