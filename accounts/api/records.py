"""What a call that creates answered under an `Idempotency-Key`, so that its repeat gets the same answer."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class IdempotentCall(models.Model):
    """One call of one organization under one key. Written and answered in the transaction that made what it answers."""

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    operation = models.CharField(max_length=40)
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)  # sha256 of the fields, hex
    answer = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "operation", "key"], name="one_answer_per_idempotency_key"
            ),
            models.CheckConstraint(
                name="idempotent_call_hash_is_sha256", condition=Q(request_hash__regex=r"^[0-9a-f]{64}$")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.key}"
