"""What a vLLM server's errors mean for a job. The `code` in them is the HTTP status again, a number."""

import json
from typing import Any

from generation.engines.errors import (
    ContextTooLong,
    EndpointAway,
    EndpointBusy,
    EngineError,
    ModelUnavailable,
    UnsupportedWork,
)
from generation.engines.vllm.wire import ConnectionGone


def refusal(status: int, error: dict[str, Any], context: int) -> EngineError:
    """An error before the answer has begun; `error` is the object in its body, `context` what the registry promises."""
    message = str(error.get("message", ""))[:300]
    if status in (429, 503):
        return EndpointBusy(f"The model's server is full: {message}")
    if status in (400, 422) and (error.get("param") == "input_tokens" or "context length" in message):
        asked = error.get("value")
        return ContextTooLong(context, asked if isinstance(asked, int) else context + 1)
    if status in (400, 422):
        return UnsupportedWork(f"The model's server refuses this: {message}")
    if status >= 500:
        return EndpointAway(f"The model's server answered {status}: {message}")
    return ModelUnavailable(f"The model's server answered {status}: {message}")


def broken_off(error: Any, context: int) -> EngineError:
    """An error inside a stream; its `code` is the status that it would have had."""
    code = error.get("code") if isinstance(error, dict) else None
    if code in (400, 422):
        return refusal(code, error, context)
    return ConnectionGone(f"the server broke off: {str(error)[:300]}")


def error_in(body: bytes) -> dict[str, Any]:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {"message": body.decode("utf-8", "replace")}
    return error if isinstance(error, dict) else {"message": str(error)}
