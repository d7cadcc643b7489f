"""A remix: a finished clip's model, size, length and seed with other words."""

from collections.abc import Mapping
from typing import Any

from accounts.errors import ApiError
from accounts.identity import Caller
from generation import admission
from generation.lineage import parents
from generation.lineage.parents import Parent
from generation.lineage.records import Relation
from generation.models import Job

FIELDS = ("prompt", "model", "size", "seconds", "seed", "input_reference")


def submit(
    caller: Caller,
    parent: Job,
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    source: str = "api",
) -> Job:
    """Queue a remix by the way of every clip. What `fields` leave out is the parent's, the seed included.

    Raises ApiError as `admission.submit_clip` and `parents.require` do; then nothing is queued or held.
    """
    parents.require(parent, Relation.REMIX)
    return admission.submit_clip(
        caller,
        taken_over(parent, fields),
        idempotency_key=idempotency_key,
        source=source,
        parent=Parent(parent, Relation.REMIX),
    )


def taken_over(parent: Job, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the new clip. A picture that the parent began from is not kept, so it has to be sent again."""
    given = {name: value for name, value in fields.items() if name == "prompt" or value not in (None, "")}
    if parent.spec.get("image") and "input_reference" not in given:
        raise ApiError(
            "missing_required_parameter",
            f"{parent.public_id} began from a picture, which was deleted when it ended. Send the picture again as "
            "input_reference, in a multipart form. Nothing was queued or charged.",
            param="input_reference",
        )
    spec = parent.spec
    own = {"model": parent.model.name, "seconds": str(spec["seconds"]), "seed": parent.seed}
    return {**own, "size": f"{spec['width']}x{spec['height']}", **given}
