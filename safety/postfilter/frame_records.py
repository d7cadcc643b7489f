"""Rows that frame gates compare with: crops of listed pictures, and registered likenesses."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import WRITTEN
from safety import triggers
from safety.policy.records import LikenessKind
from safety.row_history import history

PDQ_HEX = r"^[0-9a-f]{64}$"


class HashVariant(models.Model):
    """The hash of a crop of a picture on the hash list. It goes with its entry, and has its entry's radius."""

    entry = models.ForeignKey("safety.HashEntry", on_delete=models.CASCADE, related_name="variants")
    name = models.CharField(max_length=40)  # "crop 0.0% 2.5% 0.0% 2.5%": top, right, bottom, left
    pdq = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="hash_variant_once", fields=["entry", "name"]),
            models.CheckConstraint(name="hash_variant_is_pdq", condition=Q(pdq__regex=PDQ_HEX)),
        ]
        triggers = [triggers.bumps_policy("frames"), triggers.bumps_policy("hashes", "bumps_hashes")]

    def __str__(self) -> str:
        return f"{self.name} of hash entry {self.entry_id}"


@history()
class Likeness(models.Model):
    """The face of somebody who must not be imitated, as an embedding; the picture itself isn't kept.

    Embeddings of one embedder can be compared with each other alone, so each row names the one that it comes from.
    """

    name = models.CharField(
        max_length=120
    )  # whose, for staff; the evidence of verdicts names the row's id alone
    kind = models.CharField(max_length=16, choices=LikenessKind.choices)
    embedder = models.CharField(max_length=80)
    embedding = models.BinaryField()  # float32, little-endian, of length 1
    source = models.CharField(max_length=80)
    author = models.CharField(max_length=254)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="likeness_kind_known", condition=Q(kind__in=LikenessKind.values)),
            models.CheckConstraint(name="likeness_is_named", condition=Q(name__regex=WRITTEN)),
            models.CheckConstraint(name="likeness_source_named", condition=Q(source__regex=WRITTEN)),
        ]
        indexes = [models.Index(fields=["embedder"], name="likeness_of_embedder")]
        triggers = [triggers.bumps_policy("frames"), triggers.bumps_policy("likenesses", "bumps_likenesses")]
        verbose_name_plural = "likenesses"

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"
