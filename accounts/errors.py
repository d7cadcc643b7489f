"""The one shape of an error and the one table of codes, raised by every room and rendered in one place.

The table is part of the public contract: a client picks its exception by status alone and its retry behaviour
by the headers, so overload, a limit, a refusal by policy and bad input are never confused.
"""

from dataclasses import dataclass, field

INVALID = "invalid_request_error"

# code → (status, type, may the client retry by itself?)
TABLE: dict[str, tuple[int, str, bool]] = {
    "server_is_overloaded": (503, "service_unavailable_error", True),
    "model_unavailable": (503, "service_unavailable_error", True),
    "rate_limit_exceeded": (429, "rate_limit_error", True),
    "concurrency_limit_exceeded": (429, "rate_limit_error", True),
    "budget_exceeded": (429, "insufficient_quota", False),
    "credit_balance_exhausted": (429, "insufficient_quota", False),
    "moderation_blocked": (400, INVALID, False),
    "category_suspended": (400, INVALID, False),
    "context_length_exceeded": (400, INVALID, True),
    "idempotency_key_reused": (409, INVALID, False),
    "invalid_api_key": (401, "authentication_error", True),
    "insufficient_scope": (403, "permission_error", True),
    "csrf_failed": (403, "permission_error", True),
    "not_found": (404, INVALID, True),
    "model_not_found": (404, INVALID, True),
    "approval_required": (403, "permission_error", False),
    # The gate at sign-up, on its page.
    "invitation_required": (403, "permission_error", False),
    "invitation_invalid": (403, "permission_error", False),
    "sign_up_cap_reached": (429, "rate_limit_error", False),
    "already_decided": (409, INVALID, False),
    # A reviewer has seen as much as a day may hold, on the review page.
    "exposure_limit_reached": (429, "rate_limit_error", False),
    # Buying credits.
    "payment_provider_unavailable": (503, "service_unavailable_error", True),
    "payment_refused": (400, INVALID, False),
    "method_not_allowed": (405, INVALID, True),
    "not_ready": (409, INVALID, False),
    "cancelled": (409, INVALID, False),
    "content_withdrawn": (410, INVALID, True),
    "content_expired": (410, INVALID, True),
    "request_too_large": (413, INVALID, True),
    # At the edge, before anything was begun: too slow, or a head that is too large.
    "request_timeout": (408, INVALID, True),
    "request_head_too_large": (431, INVALID, False),
    "unsupported_media_type": (415, INVALID, True),
    "invalid_image": (400, INVALID, True),
    "not_implemented": (501, INVALID, False),
    "internal_error": (500, "server_error", True),
    # One code per cause of a malformed or over-cap request; `param` names the field.
    "malformed_body": (400, INVALID, True),
    "missing_required_parameter": (400, INVALID, True),
    "invalid_type": (422, INVALID, True),
    "invalid_value": (400, INVALID, True),
    "prompt_empty": (400, INVALID, True),
    "prompt_too_long": (400, INVALID, True),
    "prompt_control_characters": (400, INVALID, True),
    "unsupported_size": (400, INVALID, True),
    "unsupported_seconds": (400, INVALID, True),
    "over_tier_limit": (400, INVALID, True),
}


@dataclass
class ApiError(Exception):
    """A refusal or failure that its receiver can act on.

    `message` says what happened, what was not charged where that matters, and what to do next.
    `retry_after_s` is only set where coming back then will work.
    """

    code: str
    message: str
    param: str | None = None
    decision_id: str | None = None
    retry_after_s: float | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(f"{self.code}: {self.message}")
        if self.code not in TABLE:
            raise KeyError(f"{self.code} is not in the table of errors")

    @property
    def status(self) -> int:
        return TABLE[self.code][0]

    @property
    def type(self) -> str:
        return TABLE[self.code][1]

    def body(self, request_id: str) -> dict:
        """The public JSON: `{"error": {message, type, code, param, request_id, decision_id?}}`."""
        error = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "param": self.param,
            "request_id": request_id,
        }
        if self.decision_id:
            error["decision_id"] = self.decision_id
        return {"error": error}

    def response_headers(self) -> dict[str, str]:
        headers = dict(self.headers)
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after_s)))
        if not TABLE[self.code][2]:
            headers["X-Should-Retry"] = "false"
        return headers
