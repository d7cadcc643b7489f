"""An extension: a clip that begins from the last frame of a delivered one, in its model and size."""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet

from accounts.errors import ApiError
from accounts.identity import Caller
from generation import admission, delivery
from generation.lineage import parents
from generation.lineage.last_frame import LastFrame
from generation.lineage.parents import Parent
from generation.lineage.records import Relation
from generation.models import Job

# "video[id]" is how a form writes {"video": {"id": …}}.
FIELDS = ("prompt", "seconds", "video", "video[id]", "model", "size", "seed")
PARAM = "video"


def submit(
    caller: Caller,
    parent: Job,
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    source: str = "api",
) -> Job:
    """Queue a clip that goes on where `parent` ends. Its first picture waits in `screening` like any other.

    Raises ApiError as `admission.submit_clip` and `parents.require` do, and where the model begins from no picture.
    """
    parents.require(parent, Relation.EXTENSION)
    given = {name: value for name, value in fields.items() if name == "prompt" or value not in (None, "")}
    spec = parent.spec
    own = {"model": parent.model.name, "size": f"{spec['width']}x{spec['height']}"}
    return admission.submit_clip(
        caller,
        {**own, **given, "input_reference": LastFrame(parent, delivery.clip_file(parent))},
        idempotency_key=idempotency_key,
        source=source,
        parent=Parent(parent, Relation.EXTENSION),
    )


def named(fields: Mapping[str, Any]) -> str | None:
    """The id in `video`, however it was sent; None where a file was. Raises ApiError naming `video`."""
    value = fields.get("video[id]") or fields.get(PARAM)
    if isinstance(value, Mapping):
        value = value.get("id")
    if value in (None, ""):
        raise ApiError(
            "missing_required_parameter",
            'Say which clip: its id as {"video": {"id": "video_…"}}, or its file as it was downloaded.',
            param=PARAM,
        )
    if isinstance(value, UploadedFile):
        return None
    if not isinstance(value, str):
        raise ApiError("invalid_type", "video is the id of a clip, or its file.", param=PARAM)
    return value


def by_file(clips: QuerySet[Job], file: UploadedFile) -> Job:
    """The clip among `clips` that was delivered as exactly this file. Raises ApiError invalid_value."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    found = clips.filter(assets__digest=digest.hexdigest(), assets__role="video").first()
    if found is None:
        raise ApiError(
            "invalid_value",
            "This file is no clip that was made here for this organization. Send the file as it was downloaded, byte "
            'for byte, or its id as {"video": {"id": "video_…"}}. Nothing was queued or charged.',
            param=PARAM,
        )
    return found
