"""The OpenAPI document as a page tells it: subjects with operations, and of each what it takes, answers and refuses."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SUBJECTS = {
    "videos": ("Clips", "Made, watched, fetched, remixed and deleted as the stock client does it."),
    "completions": ("Completions", "Code that goes on where a prompt ends, plain or streamed."),
    "chat": ("Chat", "Code in conversation, plain or streamed."),
    "responses": ("Responses", "The same as responses: plain, streamed, or in the background."),
    "models": ("Models", "What can be asked for, and what was measured of it."),
    "jobs": ("Jobs and quotes", "What a request would cost, and how a job got where it is."),
    "events": ("Events", "Every change of every job in one stream."),
    "reports": ("Reports", "Saying that a clip should not be there."),
    "billing": ("Money", "Decisions, statement, usage, budgets and notices."),
    "purchases": ("Purchases", "Buying credits."),
    "keys": ("Keys", "Made, rotated and revoked."),
    "webhooks": ("Webhooks", "Being told instead of asking."),
}
MOST_CHARACTERS = 2_400  # of an example, which is there to be looked at


@dataclass(frozen=True)
class Field:
    """A parameter, a field of a body, or one of an answer."""

    name: str
    kind: str
    required: bool
    description: str
    place: str = ""


@dataclass(frozen=True)
class Refusal:
    """An error that an operation can answer."""

    status: int
    code: str
    message: str


class Operation:
    """One method of one address."""

    def __init__(self, document: dict[str, Any], method: str, path: str, details: dict[str, Any]) -> None:
        self._document, self._details = document, details
        self.method, self.path, self.id = method.upper(), path, details["operationId"]
        self.summary, self.description = details["summary"], details.get("description", "")
        self.subject = (details.get("tags") or ["other"])[0]

    @property
    def scopes(self) -> list[str]:
        """Of these the caller's key needs one; none where anybody may ask."""
        return [scope for need in self._details.get("security", []) for scope in need.get("key", [])]

    @cached_property
    def parameters(self) -> list[Field]:
        return [
            Field(
                one["name"],
                self._kind(one["schema"]),
                bool(one.get("required")),
                one.get("description", ""),
                one["in"],
            )
            for one in self._details["parameters"]
        ]

    @cached_property
    def body(self) -> list[Field]:
        content = self._details.get("requestBody", {}).get("content", {})
        return list(self._fields(next(iter(content.values()))["schema"])) if content else []

    @property
    def takes(self) -> list[str]:
        """The content types that its body may have."""
        return list(self._details.get("requestBody", {}).get("content", {}))

    @cached_property
    def answer(self) -> tuple[int, str, list[Field]]:
        """The status of success, an example of what comes with it, and its fields."""
        status, found = next(
            (int(key), one) for key, one in self._details["responses"].items() if int(key) < 400
        )
        content = next(iter(found.get("content", {}).values()), {})
        return status, _pretty(content.get("example")), list(self._fields(content.get("schema", {})))

    @property
    def stream(self) -> str:
        """An example of what it sends as server-sent events, where it does."""
        for status, found in self._details["responses"].items():
            if int(status) == 200 and "text/event-stream" in found.get("content", {}):
                return found["content"]["text/event-stream"].get("example", "")
        return ""

    @cached_property
    def refusals(self) -> list[Refusal]:
        shown = self._document["components"]["examples"]
        return [
            Refusal(int(status), code, shown[code]["value"]["error"]["message"])
            for status, found in self._details["responses"].items()
            for code in found.get("content", {}).get("application/json", {}).get("examples", {})
        ]

    def curl(self, address: str) -> str:
        """The call for a shell."""
        lines = [f"curl -X {self.method} {address}{self._filled}", '-H "Authorization: Bearer $KEY"']
        if self._sent is not None:
            lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(json.dumps(self._sent))}"]
        return " \\\n  ".join(lines)

    def python(self, address: str) -> str:
        """The call in Python."""
        body = f",\n    json={self._sent!r}" if self._sent is not None else ""
        return (
            f"import httpx\n\nanswer = httpx.{self.method.lower()}(\n"
            f'    "{address}{self._filled}",\n    headers={{"Authorization": f"Bearer {{key}}"}}{body},\n)'
        )

    @property
    def _sent(self) -> Any:
        content = self._details.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("example")

    @property
    def _filled(self) -> str:
        path = self.path
        for one in self._details["parameters"]:
            if one["in"] == "path":
                path = path.replace(f"{{{one['name']}}}", str(one.get("example", one["name"])))
        return path

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            return self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def _fields(self, schema: dict[str, Any]) -> Iterator[Field]:
        found = self._resolved(schema)
        needed = found.get("required", ())
        for name, one in found.get("properties", {}).items():
            yield Field(name, self._kind(one), name in needed, one.get("description", ""))

    def _kind(self, schema: dict[str, Any]) -> str:
        """A type in a few words, with what is allowed."""
        schema = self._resolved(schema)
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return " or ".join(dict.fromkeys(self._kind(one) for one in schema[several]))
        if "const" in schema:
            return json.dumps(schema["const"])
        if "enum" in schema:
            return ", ".join(json.dumps(one) for one in schema["enum"])
        kind = schema.get("type", "any")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        if kind == "array":
            return f"list of {self._kind(schema.get('items', {}))}"
        return " ".join([schema.get("format", kind), *_bounds(schema)])


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        yield f"{'' if low is None else f'{low:,}'}–{'' if high is None else f'{high:,}'}"
    if "maxLength" in schema:
        yield f"of up to {schema['maxLength']:,} characters"
    if schema.get("default") not in (None, ""):
        yield f"({json.dumps(schema['default'])} if left out)"


def _pretty(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS].rsplit("\n", 1)[0] + "\n  …"


def operations(document: dict[str, Any]) -> list[Operation]:
    """All of them, in the order of the document."""
    return [
        Operation(document, method, path, details)
        for path, methods in document["paths"].items()
        for method, details in methods.items()
    ]
