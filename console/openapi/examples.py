"""What each operation is sent and answers, as it was seen: one JSON file a subject, beside this module.

`operationId → {"request"?, "response"?, "stream"?}`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "examples"
# Operations that answer with server-sent events, always or when they are asked to.
STREAMS = (
    *("completions_create", "completions_follow", "chat_create", "chat_follow"),
    *("responses_create", "responses_retrieve", "jobs_follow", "events_follow"),
)


def of(operation_id: str) -> dict[str, Any]:
    """The example of an operation; empty where there is none, which a test doesn't let pass."""
    return _all().get(operation_id, {})


@cache
def _all() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.json")):
        found |= json.loads(path.read_text())
    return found
