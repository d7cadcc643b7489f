"""`Idempotency-Key`: a call that creates is done once, however often and however many at a time it is sent.

Clips and completions keep the key in their job's own row, purchases in the payment's; this is for everything else.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts.api.records import IdempotentCall
from accounts.errors import ApiError
from accounts.models import Organization

PRINTABLE = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,254}")
REUSED = "This Idempotency-Key was used with another body. Use a new key for a new request."
KEPT = timedelta(days=7)


def idempotency_key(request: HttpRequest) -> str | None:
    """The Idempotency-Key header: 1 to 255 printable ASCII characters, or None where none was sent."""
    key = request.headers.get("Idempotency-Key")
    if key is None or PRINTABLE.fullmatch(key):
        return key
    raise ApiError(
        "invalid_value",
        "Idempotency-Key takes 1 to 255 printable ASCII characters. Nothing was queued or charged.",
        param="Idempotency-Key",
    )


def once(
    organization: Organization,
    operation: str,
    key: str | None,
    fields: Mapping[str, Any],
    make: Callable[[], dict[str, Any]],
    *,
    secrets: Collection[str] = (),
) -> dict[str, Any]:
    """What `make()` answers, or what it answered when this key came before; without a key it is simply done.

    ONE transaction: a repeat that comes meanwhile waits for the first and gets its answer, and where `make` raises, the
    key is free again. `secrets` are names in the answer that are told once: a repeat gets None for them. Raises
    `ApiError` idempotency_key_reused where the key was used with other fields.
    """
    if key is None:
        return make()
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()
    with transaction.atomic():
        asked = IdempotentCall(organization=organization, operation=operation, key=key, request_hash=digest)
        IdempotentCall.objects.bulk_create([asked], ignore_conflicts=True)  # waits for one that is under way
        call = IdempotentCall.objects.select_for_update().get(
            organization=organization, operation=operation, key=key
        )
        if call.request_hash != digest:
            raise ApiError("idempotency_key_reused", REUSED)
        if call.answer is not None:
            return call.answer
        answer = make()
        call.answer = {**answer, **dict.fromkeys(secrets)}
        call.save(update_fields=["answer"])
    return answer


def forget_old() -> int:
    """Drop the keys that nobody repeats any more; how many."""
    return IdempotentCall.objects.filter(at__lt=Now() - KEPT).delete()[0]
