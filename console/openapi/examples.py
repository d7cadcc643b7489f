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

# What an id in a path looks like, by its name.
IDS: dict[str, str | int] = {
    "video_id": "video_d70df460b9174ad2bbc24f0f1727eb29",
    "job_id": "video_d70df460b9174ad2bbc24f0f1727eb29",
    "completion_id": "cmpl-8c0f5f6d2f7a4a0c9d3e1b2a4c6d8e0f",
    "response_id": "resp_8c0f5f6d2f7a4a0c9d3e1b2a4c6d8e0f",
    "character_id": "char_1",
    "model": "pocket-video",
    "decision_id": "30d64a94-d517-45f4-86c1-866a66bec685",
    "purchase_id": "9879ee10-0cfd-431c-bdb7-8cc7afe1d798",
    "budget_id": 3,
    "key_id": 12,
    "webhook_id": 5,
    "delivery_id": 71,
}
# Of these, those whose events have ids to go on behind.
RESUMABLE = tuple(name for name in STREAMS if name != "jobs_follow")


def of(operation_id: str) -> dict[str, Any]:
    """The example of an operation; empty where there is none, which a test doesn't let pass."""
    return _all().get(operation_id, {})


@cache
def _all() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.json")):
        found |= json.loads(path.read_text())
    return found
