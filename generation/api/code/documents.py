"""The shapes of chat and responses for the OpenAPI document, and what their answers are checked against."""

from typing import Any, Literal

from ninja import Schema

from generation.api.documents import CODE_FIELDS, FLAG, TEXT, WHOLE, Usage


class AssistantMessage(Schema):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Schema):
    index: int
    message: AssistantMessage
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: None


class ChatCompletion(Schema):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    backlot: dict[str, Any]


class OutputText(Schema):
    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    logprobs: list[dict[str, Any]]


class OutputMessage(Schema):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]


class ResponseUsage(Schema):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseDocument(Schema):
    """A response. `status` is `incomplete` where it ended at its most tokens; `output` is empty until it is written."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    error: dict[str, str] | None
    incomplete_details: dict[str, str] | None
    instructions: str | None
    max_output_tokens: int
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage]
    parallel_tool_calls: bool
    previous_response_id: None
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: Literal["none"]
    tools: list[dict[str, Any]]
    top_p: float
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
    backlot: dict[str, Any]


class ResponseDeleted(Schema):
    id: str
    object: Literal["response"]
    deleted: bool


BACKLOT = {
    "type": "object",
    "description": "What Backlot adds to the contract.",
    "properties": {
        "partial": {
            "enum": ["ast"],
            "description": "Where the answer ends early: its longest beginning that parses.",
        },
        "language": {"enum": ["python", "javascript", "typescript"]},
        "background": {**FLAG, "description": "The work outlives its reader."},
        "json_schema": {"type": "object"},
        "regex": TEXT,
        "grammar": TEXT,
    },
}
PARTS = {"type": "array", "items": {"type": "object", "properties": {"type": TEXT, "text": TEXT}}}
MESSAGES = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant"]},
            "content": {"oneOf": [TEXT, PARTS]},
        },
    },
}
SHARED = {name: CODE_FIELDS[name] for name in ("model", "temperature", "top_p", "seed", "stop", "stream")}
FORMAT = {"type": "object", "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}}}
CHAT_FIELDS = {
    "messages": {**MESSAGES, "example": [{"role": "user", "content": "def fibonacci(n):\n"}]},
    **SHARED,
    "max_completion_tokens": CODE_FIELDS["max_tokens"],
    "max_tokens": {**WHOLE, "description": "The older name of max_completion_tokens."},
    "response_format": FORMAT,
    "stream_options": CODE_FIELDS["stream_options"],
    "backlot": BACKLOT,
}
RESPONSE_FIELDS = {
    "input": {
        "oneOf": [TEXT, MESSAGES],
        "description": "What to answer.",
        "example": "def fibonacci(n):\n",
    },
    "instructions": {**TEXT, "description": "A system message before the input."},
    **SHARED,
    "max_output_tokens": CODE_FIELDS["max_tokens"],
    "text": {"type": "object", "properties": {"format": FORMAT}},
    "store": {**FLAG, "description": "Whether it can be read later; true unless told."},
    "background": {**FLAG, "description": "Answer at once, and read it when it is done."},
    "metadata": {"type": "object", "additionalProperties": TEXT},
    "backlot": BACKLOT,
}
