"""What an answer has to be (a JSON object, a schema, a pattern, a grammar), as each contract asks for it.

Whether the model's engine can is asked by name: what it can't do is refused, never ignored.
"""

import json
from collections.abc import Mapping
from typing import Any

from accounts.errors import ApiError
from generation.engines.asked import Ability, Structure

MOST_CHARACTERS = 16_000
IN_WORDS = {
    "json_object": "JSON",
    "json_schema": "a JSON schema",
    "regex": "a pattern",
    "grammar": "a grammar",
}


def asked(fields: Mapping[str, Any], params: Mapping[str, str]) -> tuple[Structure, str] | None:
    """The structure that a request asks for and the field that does; None where it asks for none.

    `params` names the fields: of the contract's own format, and of `backlot`'s pattern and grammar.
    """
    found = [_format(fields.get(params["format"]), params["format"])] if "format" in params else []
    backlot = fields.get("backlot") or {}
    for kind in ("json_schema", "regex", "grammar"):
        if backlot.get(kind) is not None:
            found.append(_own(kind, backlot[kind]))
    found = [one for one in found if one is not None]
    if len(found) > 1:
        message = f"An answer keeps to one of {' and '.join(param for _, param in found)}, not to both."
        raise ApiError("invalid_value", message, param=found[1][1])
    return found[0] if found else None


def require(ability: Ability, structure: Structure, param: str, model: str) -> None:
    """Raises ApiError where the model's engine can't keep to it."""
    if structure.kind in ability.structures:
        return
    can = ", ".join(IN_WORDS[kind] for kind in IN_WORDS if kind in ability.structures)
    told = f"{model} can keep to: {can}." if can else f"{model} answers in free text alone."
    message = f"{model} can't keep to {IN_WORDS[structure.kind]}. {told} Leave {param} out."
    raise ApiError("invalid_value", message, param=param)


def _format(value: Any, param: str) -> tuple[Structure, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        raise ApiError("invalid_type", f'`{param}` is an object with a "type".', param=param)
    kind = value["type"]
    if kind == "text":
        return None
    if kind == "json_object":
        return Structure("json_object"), param
    if kind != "json_schema":
        told = f"`{param}.type` is {kind[:40]!r}; it is one of text, json_object, json_schema."
        raise ApiError("invalid_value", told, param=f"{param}.type")
    # Chat nests the schema, responses do not.
    schema = (value["json_schema"] if isinstance(value.get("json_schema"), Mapping) else value).get("schema")
    return Structure("json_schema", _schema(schema, f"{param}.schema")), param


def _own(kind: str, value: Any) -> tuple[Structure, str]:
    param = f"backlot.{kind}"
    if kind == "json_schema":
        return Structure(kind, _schema(value, param)), param
    if not isinstance(value, str) or not 0 < len(value) <= MOST_CHARACTERS:
        message = f"`{param}` is a string of 1 to {MOST_CHARACTERS:,} characters."
        raise ApiError("invalid_type", message, param=param)
    return Structure(kind, value), param


def _schema(value: Any, param: str) -> str:
    if not isinstance(value, Mapping):
        raise ApiError("invalid_type", f"`{param}` is a JSON schema, an object.", param=param)
    text = json.dumps(value)
    if len(text) > MOST_CHARACTERS:
        message = f"`{param}` has {len(text):,} characters; at most {MOST_CHARACTERS:,} are taken."
        raise ApiError("invalid_value", message, param=param)
    return text
