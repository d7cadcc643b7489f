"""/api/reports: say that a clip should not be there."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from accounts.api.once import once
from accounts.errors import ApiError
from generation.afterwards import clip_reports
from generation.api import videos
from generation.api.fields import idempotency_key, known_only, request_fields
from safety.models import ReviewClass, UserReport

router = Router(tags=["reports"])

FIELDS = ("clip", "category", "text")
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["clip", "category"],
                    "properties": {
                        "clip": {"type": "string", "description": "The id of a delivered clip."},
                        "category": {"type": "string", "enum": ReviewClass.values},
                        "text": {"type": "string", "maxLength": 2000},
                    },
                }
            }
        },
    }
}


class ReportDocument(Schema):
    id: int
    object: str = "report"
    clip: str = Field(description="The clip that was reported.")
    category: str
    state: str = Field(description="open, confirmed or dismissed.")
    created_at: datetime


@router.post("/reports", response={201: ReportDocument}, openapi_extra=BODY, summary="Report a clip")
def create(request: HttpRequest):
    """Opens a review item. Your open report of the same clip is answered again; ten an hour at most."""
    fields = known_only(request_fields(request), FIELDS)
    for name in ("clip", "category"):
        if not fields.get(name):
            raise ApiError("missing_required_parameter", f"`{name}` is missing.", param=name)
    for name in FIELDS:
        if not isinstance(fields.get(name, ""), str):
            raise ApiError("invalid_type", f"`{name}` is a text.", param=name)
    job, caller = videos.find(request, fields["clip"]), request.caller

    def make() -> dict[str, Any]:
        made = clip_reports.report_clip(job, fields["category"], fields.get("text", ""), caller)
        return _document(made, job.public_id)

    return Status(201, once(caller.organization, "reports", idempotency_key(request), fields, make))


def _document(made: UserReport, clip: str) -> dict[str, Any]:
    return {
        "id": made.pk,
        "clip": clip,
        "category": made.category,
        "state": made.state,
        "created_at": made.at,
    }
