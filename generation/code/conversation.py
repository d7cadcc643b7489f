"""Messages and input items as the chat and responses contracts write them, read into turns; and back.

A conversation is stored as one text, the turns' texts with a blank line between them (what is screened, searched and
shown), and as the length of each turn, so that nothing is stored twice. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accounts.errors import ApiError
from generation.engines.asked import Message

BETWEEN = "\n\n"
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
TEXT_PARTS = ("text", "input_text", "output_text")
MOST_TURNS = 256
Turns = list[list]  # of [role, characters], as JSON has it


def of_messages(value: Any) -> tuple[Message, ...]:
    """`messages` of a chat. Raises ApiError that names the message."""
    if value is None:
        raise ApiError("missing_required_parameter", "`messages` is required.", param="messages")
    if not isinstance(value, list):
        raise ApiError("invalid_type", "`messages` is a list of messages.", param="messages")
    return _checked([_message(one, f"messages[{place}]") for place, one in enumerate(value)], "messages")


def of_input(value: Any, instructions: Any) -> tuple[Message, ...]:
    """`input` of a response, a text or a list of messages, behind its `instructions`. Raises ApiError."""
    if value is None:
        raise ApiError("missing_required_parameter", "`input` is required.", param="input")
    if not isinstance(instructions, str | None):
        raise ApiError("invalid_type", "`instructions` has to be a string.", param="instructions")
    first = [Message("system", instructions)] if instructions else []
    if isinstance(value, str):
        return _checked([*first, Message("user", value)], "input")
    if not isinstance(value, list):
        raise ApiError("invalid_type", "`input` is a string or a list of messages.", param="input")
    return _checked([*first, *(_item(one, f"input[{place}]") for place, one in enumerate(value))], "input")


def joined(messages: Sequence[Message]) -> tuple[str, Turns]:
    """The conversation as it is stored: its text and its turns."""
    return BETWEEN.join(one.content for one in messages), [[one.role, len(one.content)] for one in messages]


def split(text: str, turns: Turns) -> tuple[Message, ...]:
    """The conversation again."""
    found, place = [], 0
    for role, length in turns:
        found.append(Message(role, text[place : place + length]))
        place += length + len(BETWEEN)
    return tuple(found)


def _checked(messages: list[Message], param: str) -> tuple[Message, ...]:
    if len(messages) > MOST_TURNS:
        raise ApiError("invalid_value", f"`{param}` has at most {MOST_TURNS} messages.", param=param)
    if not any(one.role != "system" and one.content.strip() for one in messages):
        message = f"`{param}` has nothing to answer. Add a message of the user."
        raise ApiError("prompt_empty", message, param=param)
    return tuple(messages)


def _item(value: Any, param: str) -> Message:
    kind = value.get("type", "message") if isinstance(value, Mapping) else "message"
    if kind != "message":
        raise ApiError(
            "invalid_value",
            f"`{param}` is a {str(kind)[:40]!r}; models here read messages alone.",
            param=param,
        )
    return _message(value, param)


def _message(value: Any, param: str) -> Message:
    if not isinstance(value, Mapping):
        raise ApiError("invalid_type", f'`{param}` is an object with "role" and "content".', param=param)
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLES:
        told = f"`{param}.role` is {str(role)[:40]!r}; it is one of {', '.join(ROLES)}."
        raise ApiError("invalid_value", told, param=f"{param}.role")
    for name in ("tool_calls", "function_call", "audio", "refusal"):
        if value.get(name):
            message = f"`{param}.{name}` is not read here: models answer in text. Leave it out."
            raise ApiError("invalid_value", message, param=f"{param}.{name}")
    return Message(ROLES[role], _content(value.get("content"), f"{param}.content"))


def _content(value: Any, param: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ApiError("invalid_type", f"`{param}` is a string or a list of text parts.", param=param)
    return "\n".join(_part(one, f"{param}[{place}]") for place, one in enumerate(value))


def _part(value: Any, param: str) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind not in TEXT_PARTS:
        message = f"`{param}` is a {str(kind)[:40]!r}; models here read text parts alone."
        raise ApiError("invalid_value", message, param=param)
    if not isinstance(value.get("text"), str):
        raise ApiError("invalid_type", f"`{param}.text` has to be a string.", param=f"{param}.text")
    return value["text"]
