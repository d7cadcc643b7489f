"""The OpenAPI document: ninja's, with every error, header, scope and example that an operation has."""

from copy import deepcopy
from typing import Any

from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from accounts.errors import TABLE
from console.openapi import answers, examples
from generation.api.sse import DIGITS_OF_EVENTS, DIGITS_OF_TOKENS

KEY = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "bk_…",
    "description": "An API key in `Authorization: Bearer bk_…`. Each operation names the scope that it takes. On this "
    "installation's own pages a signed-in person's session does as well, with the page's CSRF token in X-CSRFToken.",
}
ERROR = {
    "type": "object",
    "description": "What was wrong, and what to do. Clients go by the status; `code` says which case it is.",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param", "request_id"],
            "additionalProperties": False,
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": {"enum": sorted({kind for _, kind, _ in TABLE.values()})},
                "code": {"enum": list(TABLE)},
                "param": {"type": ["string", "null"], "description": "The field that it is about."},
                "request_id": {"type": "string", "pattern": "^req_[0-9a-f]{32}$"},
                "decision_id": {"type": "string", "format": "uuid"},
            },
        }
    },
}
HEADERS = {
    "request-id": {
        "description": "The request, as the log knows it.",
        "required": True,
        "schema": {"type": "string", "pattern": "^req_[0-9a-f]{32}$"},
    },
    "etag": {
        "description": "What was read, for If-None-Match.",
        "schema": {"type": "string", "pattern": '^(W/)?"'},
    },
    "retry-after": {
        "description": "Seconds after which coming back will work.",
        "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
    },
    "should-retry": {
        "description": "`false` where the same request can't succeed later either.",
        "schema": {"enum": ["false"]},
    },
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "1 to 255 printable characters: the same key with the same body is done once.",
    "schema": {"type": "string", "pattern": "^[!-~][ -~]{0,254}$", "example": "4f7c2b"},
}
IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "required": False,
    "description": "The ETag of what the client has: 304 where it is still that.",
    "schema": {"type": "string"},
}
LAST_EVENT_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "required": False,
    "description": "Go on behind this event.",
}
STREAM = {
    "schema": {
        "type": "object",
        "description": "Server-sent events, each with these fields.",
        "required": ["data"],
        "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
    }
}
REASONS = {
    400: "The request can't be done as it is",
    401: "No key, or a wrong one",
    403: "Not with this key or role",
    404: "Not there, or another organization's",
    409: "Not in the state it is in",
    410: "Gone",
    413: "Too large",
    415: "A body of another type",
    422: "A field of another type",
    429: "A limit is reached",
    500: "Our fault",
    501: "Not offered",
    503: "No room just now",
}


class Document(OpenAPISchema):
    """Built once per process from the operations as they are mounted."""

    def operation_details(self, operation: Operation) -> dict[str, Any]:
        method = operation.methods[0].lower()
        details = super().operation_details(operation)
        # A router within a router has both their tags: its own says more.
        details["tags"] = details["tags"][-1:]
        details["parameters"] = [*details["parameters"], *_headers(details, method)]
        _secure(details, operation, method)
        _shown(details)
        _answers(details, method)
        return details

    def methods(self, operations: list[Operation]) -> dict[str, Any]:
        """As ninja's, but HEAD, which goes where GET goes and says nothing of its own, stays out."""
        return {name: details for name, details in super().methods(operations).items() if name != "head"}

    def get_components(self) -> dict[str, Any]:
        found = super().get_components()
        found["schemas"] = {**found.get("schemas", {}), "Error": ERROR}
        found["securitySchemes"] = {"key": KEY}
        found["headers"] = deepcopy(HEADERS)
        found["examples"] = {
            code: {"summary": code, "value": answers.example(code)} for code in answers.MESSAGES
        }
        return found


def _headers(details: dict[str, Any], method: str) -> list[dict[str, Any]]:
    """The headers that an operation takes beside what its function names."""
    if details["operationId"] in answers.CREATING:
        return [IDEMPOTENCY_KEY]
    found = [IF_NONE_MATCH] if method == "get" and _content(details) else []
    if method == "get" and details["operationId"] in examples.RESUMABLE:
        digits = DIGITS_OF_EVENTS if details["operationId"] == "events_follow" else DIGITS_OF_TOKENS
        found.append({**LAST_EVENT_ID, "schema": {"type": "string", "pattern": f"^[0-9]{{0,{digits}}}$"}})
    return found


def _secure(details: dict[str, Any], operation: Operation, method: str) -> None:
    """The key, with the scopes of which one is enough; nothing where anybody may ask."""
    details.pop("security", None)
    doors = [door for door in operation.auth_callbacks if hasattr(door, "reads")]
    if doors:
        scopes = list(doors[0].reads if method in ("get", "head") else doors[0].writes)
        details["security"] = [{"key": scopes}]


def _content(details: dict[str, Any]) -> bool:
    return any("content" in answer for answer in details["responses"].values())


def _streams(details: dict[str, Any]) -> bool:
    return details["operationId"] in examples.STREAMS


def _shown(details: dict[str, Any]) -> None:
    """The examples of what is sent and what comes back."""
    for parameter in details["parameters"]:
        if parameter["in"] == "path":
            parameter["example"] = examples.IDS[parameter["name"]]
    shown = examples.of(details["operationId"])
    for kind, content in details.get("requestBody", {}).get("content", {}).items():
        if "request" in shown and kind != "multipart/form-data":
            content["example"] = shown["request"]
    for status, answer in details["responses"].items():
        for content in answer.get("content", {}).values():
            if "response" in shown and int(status) < 300:
                content["example"] = shown["response"]


def _answers(details: dict[str, Any], method: str) -> None:
    """Streams, redirects, 304, and an answer for every status that an error of this operation has."""
    found = details["responses"]
    if _streams(details):
        example = {"example": examples.of(details["operationId"]).get("stream", ": still here\n\n")}
        found.setdefault(200, {"description": "OK"}).setdefault("content", {})["text/event-stream"] = {
            **STREAM,
            **example,
        }
    if details["operationId"] == "videos_content":
        found.pop(200, None)
        found[302] = {
            "description": "To the file",
            "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
        }
    if any(parameter["name"] == "If-None-Match" for parameter in details["parameters"]):
        found[304] = {"description": "Still what the client has"}
        found[200].setdefault("headers", {})["ETag"] = {"$ref": "#/components/headers/etag"}
    for answer in found.values():
        answer.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/request-id"}
    for code in answers.codes(details["operationId"], method, details):
        status = TABLE[code][0]
        answer = found.setdefault(status, _error(status))
        answer["content"]["application/json"]["examples"][code] = {"$ref": f"#/components/examples/{code}"}
        if status in (429, 503):
            answer["headers"]["Retry-After"] = {"$ref": "#/components/headers/retry-after"}
        if not TABLE[code][2]:
            answer["headers"]["X-Should-Retry"] = {"$ref": "#/components/headers/should-retry"}


def _error(status: int) -> dict[str, Any]:
    return {
        "description": REASONS[status],
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/request-id"}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "examples": {}}},
    }
