"""Which errors each operation of the API can answer, and what such an error reads like.

What follows from an operation's shape (who may ask, whether it takes an id, fields, a body) is told by rules; the rest
stands in `ALSO`. schemathesis holds both against what the operations really answer.
"""

from typing import Any

from accounts.errors import TABLE, ApiError

# code → what its message may read like.
MESSAGES = {
    "already_decided": "Your organization has used SPRING before: it counts once. Nothing was credited.",
    "budget_exceeded": "The organization's budget of this month is used up. Nothing was queued or charged.",
    "cancelled": "This job was cancelled.",
    "category_suspended": "Requests about this subject are not taken for the moment.",
    "concurrency_limit_exceeded": "Your organization has 4 of 4 jobs open. The same request when one has ended.",
    "content_expired": "The file of this clip was kept as long as its tier keeps files, and is gone.",
    "content_withdrawn": "This clip was withdrawn from delivery after a safety review.",
    "context_length_exceeded": "The prompt has 2,100 tokens and max_tokens asks for 64; this model takes 2,048 in all.",
    "credit_balance_exhausted": "Every layer is empty. What would be allowed: 3.00 credits more.",
    "csrf_failed": "Send the page's CSRF token in X-CSRFToken, or use an API key.",
    "idempotency_key_reused": "This Idempotency-Key was used with another body. Use a new key for a new request.",
    "insufficient_scope": "This key lacks the scope billing. Use a key that has it, or make one on the keys page.",
    "internal_error": "Something failed on our side and was logged. Quote the request id when you report it.",
    "invalid_api_key": "This API key is wrong or was revoked. Keys are made on the keys page and shown once.",
    "invalid_image": "The picture could not be read as one still JPEG, PNG or WebP file.",
    "invalid_type": "`limit`: Input should be a valid integer, unable to parse string as an integer.",
    "invalid_value": "`limit`: Input should be less than or equal to 100.",
    "malformed_body": "The body is not valid JSON: it names 'prompt' twice.",
    "missing_required_parameter": "`prompt` is missing.",
    "model_not_found": "There is no model 'sora'. Available: pocket-video, pocket-code.",
    "model_unavailable": "This model can't be served just now. Nothing was queued or charged.",
    "moderation_blocked": "This prompt was refused by policy (violence).",
    "not_found": "There is nothing at this address. Check the path and the id.",
    "not_implemented": "This model can't do that. Nothing was queued or charged.",
    "not_ready": "This clip is not ready yet.",
    "over_tier_limit": "Your tier takes clips of up to 4 seconds; this one has 8.",
    "payment_provider_unavailable": "The payment provider can't be reached. Nothing was bought.",
    "payment_refused": "The payment provider refused this. Nothing was bought.",
    "prompt_control_characters": "The prompt contains control characters.",
    "prompt_empty": "The prompt is empty.",
    "prompt_too_long": "The prompt has 5,000 characters; 4,000 are taken.",
    "rate_limit_exceeded": "This API key may read 600 times per minute and has done so.",
    "request_too_large": "The body is over 1,000,000 bytes, the most that one request may carry.",
    "server_is_overloaded": "There is no room just now. Nothing was queued or charged; try again in 20 seconds.",
    "unsupported_media_type": "Send application/json; this request says 'text/plain'.",
    "unsupported_seconds": "This model makes clips of 2 seconds.",
    "unsupported_size": "This model makes clips of 64x64.",
}
ANYWHERE = ("internal_error", "server_is_overloaded")
WITH_A_CALLER = ("invalid_api_key", "insufficient_scope")
WITH_FIELDS = ("invalid_value", "invalid_type")
WITH_A_BODY = (
    "malformed_body",
    "missing_required_parameter",
    "request_too_large",
    "unsupported_media_type",
    *WITH_FIELDS,
)
SUBMITTING = (
    *WITH_A_BODY,
    *("prompt_empty", "prompt_too_long", "prompt_control_characters", "over_tier_limit", "not_implemented"),
    *("model_not_found", "model_unavailable", "moderation_blocked", "category_suspended"),
    *("rate_limit_exceeded", "concurrency_limit_exceeded", "budget_exceeded", "credit_balance_exhausted"),
    "idempotency_key_reused",
)
CLIP = (*SUBMITTING, "unsupported_size", "unsupported_seconds", "invalid_image")
CODE = (*SUBMITTING, "context_length_exceeded", "cancelled")
# operationId → what it can answer beside what follows from its shape.
ALSO: dict[str, tuple[str, ...]] = {
    "videos_create": CLIP,
    "videos_remix": (*CLIP, "not_ready", "content_withdrawn"),
    "extend_clip": (*CLIP, "not_found", "not_ready", "content_withdrawn", "content_expired"),
    "edit_clip": ("not_implemented",),
    "make_character": ("not_implemented",),
    "videos_character": ("not_implemented",),
    "videos_delete": ("not_ready",),
    "videos_content": (
        "not_ready",
        "cancelled",
        "content_withdrawn",
        "content_expired",
        "moderation_blocked",
    ),
    "completions_create": CODE,
    "chat_create": CODE,
    "responses_create": CODE,
    "responses_cancel": ("not_ready",),
    "responses_delete": ("not_ready",),
    "models_retrieve": ("model_not_found",),
    "jobs_quote": (*CLIP, "context_length_exceeded"),
    "jobs_cancel": ("not_ready",),
    "reports_create": ("not_found", "not_ready", "rate_limit_exceeded"),
    "billing_redeem": ("already_decided",),
    "purchases_create_purchase": (
        "not_found",
        "payment_provider_unavailable",
        "payment_refused",
        "not_ready",
    ),
    "keys_rotate_key": ("not_ready",),
    "webhooks_rotate_secret": ("not_ready",),
    "webhooks_test_webhook": ("not_ready",),
    "webhooks_resend_delivery": ("not_ready",),
}
# Calls that create and take an Idempotency-Key.
CREATING = (
    *(
        "videos_create",
        "videos_remix",
        "extend_clip",
        "completions_create",
        "chat_create",
        "responses_create",
    ),
    *("webhooks_create_webhook", "webhooks_rotate_secret", "webhooks_test_webhook"),
    *("reports_create", "billing_redeem", "purchases_create_purchase", "keys_create_key", "keys_rotate_key"),
)


def codes(operation_id: str, method: str, details: dict[str, Any]) -> list[str]:
    """The codes of the errors that an operation can answer, in the order of the table."""
    found = {*ANYWHERE, *ALSO.get(operation_id, ())}
    if details.get("security"):
        found.update(WITH_A_CALLER)
        found.add("rate_limit_exceeded" if method == "get" else "csrf_failed")
    if any(parameter["in"] == "path" for parameter in details["parameters"]):
        found.add("not_found")
    if details["parameters"]:
        found.update(WITH_FIELDS)
    if "requestBody" in details:
        found.update(WITH_A_BODY)
    if operation_id in CREATING:
        found.update(("idempotency_key_reused", *WITH_FIELDS))
    return [code for code in TABLE if code in found]


def example(code: str) -> dict[str, Any]:
    """An error as it is answered."""
    error = ApiError(
        code, MESSAGES[code], param="limit" if code.startswith("invalid_") and code in WITH_FIELDS else None
    )
    return error.body("req_5b1f6f0c0a9c4a5f8f0f5d3c2b1a0987")
