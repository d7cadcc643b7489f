"""A request for code, checked: each field is accepted, refused by name, or filled with what the model does best."""

from collections.abc import Mapping
from typing import Any

from accounts.errors import ApiError
from accounts.models import TierTerms
from generation import registry
from generation.code import conversation, partial, structure
from generation.code.dialects import DIALECTS, Dialect
from generation.engines import tokens
from generation.engines.asked import Message
from generation.engines.errors import UnsupportedWork
from generation.models import RegisteredModel
from generation.specs import CodeSpec, given, number, prompt_text, seed, whole

MOST_PROMPT_CHARACTERS = 64_000
MOST_PROMPT_BYTES = 160_000
MOST_STOPS = 4
MOST_DEFAULT_TOKENS = 1_024
# A beginning of a prompt is read first: where that alone is over the context, the rest need not be.
HOPELESS_CHARACTERS_PER_TOKEN = 12
CUT_TOKENS = 16  # by so many a beginning may have more tokens than the same text inside the whole
MOST_METADATA = 16


def code_spec(fields: Mapping[str, Any], terms: TierTerms, model: RegisteredModel) -> CodeSpec:
    """Check a request against the model; the tiers differ by price, lane and precision. Raises `ApiError`.

    `fields` are the contract's own; `dialect` names it; `turns` are those of a conversation, its text is `prompt`.
    """
    dialect = DIALECTS[fields.get("dialect", "completion")]
    require_neutral(fields, dialect.neutral)
    text, turns = _prompt(fields, dialect), fields.get("turns") or []
    context = model.can.context
    prompt_tokens = _counted(model, text, conversation.split(text, turns), dialect)
    limit = dialect.limit(fields)
    most = whole(given(fields, limit, _default(context, prompt_tokens)), limit, least=1)
    if prompt_tokens + most > context:
        raise _too_long(
            f"has {prompt_tokens:,} tokens and {limit} asks for {most:,}; together", context, dialect
        )
    return CodeSpec(
        prompt=text,
        prompt_tokens=prompt_tokens,
        max_tokens=most,
        temperature=number(given(fields, "temperature", 0.7), "temperature", 0, 2),
        top_p=number(given(fields, "top_p", 1.0), "top_p", 0.01, 1),
        seed=seed(fields.get("seed")),
        stop=_stops(fields.get("stop")),
        precision=registry.precision_for(model, terms.precision),
        dialect=dialect.name,
        turns=turns,
        structure=_structure(fields, dialect, model),
        partial=_partial(fields.get("backlot") or {}, dialect),
        background=bool(fields.get("background")),
        kept=fields.get("store") is not False,
        metadata=_metadata(fields.get("metadata")) if "metadata" in dialect.own else {},
        instructions=bool(fields.get("instructions")),
    )


def require_neutral(fields: Mapping[str, Any], neutral: Mapping[str, tuple]) -> None:
    """Fields of a contract that no engine here can do pass where they ask for nothing."""
    for name, values in neutral.items():
        value = fields.get(name)
        # True is 1 to Python and not to JSON.
        if value is not None and not any(
            value == one and isinstance(value, bool) == isinstance(one, bool) for one in values
        ):
            raise ApiError("invalid_value", f"This model can't do {name}. Leave it out.", param=name)


def _default(context: int, prompt_tokens: int) -> int:
    """A quarter of the context, or what is left of it."""
    return max(1, min(MOST_DEFAULT_TOKENS, context // 4, context - prompt_tokens))


def _prompt(fields: Mapping[str, Any], dialect: Dialect) -> str:
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str) and len(prompt.encode(errors="replace")) > MOST_PROMPT_BYTES:
        message = f"The prompt has over {MOST_PROMPT_BYTES:,} bytes, the most that is read."
        raise ApiError("prompt_too_long", message, param=dialect.prompt)
    return prompt_text(prompt, MOST_PROMPT_CHARACTERS, param=dialect.prompt)


def _counted(model: RegisteredModel, text: str, messages: tuple[Message, ...], dialect: Dialect) -> int:
    """Tokens of the prompt. A hopeless one is refused by a beginning of it, so that nobody pays for reading it all."""
    folder, context = registry.folder(model), model.can.context
    beginning = text[: context * HOPELESS_CHARACTERS_PER_TOKEN]
    if len(beginning) < len(text) and tokens.count(folder, beginning) > context + CUT_TOKENS:
        raise _too_long(f"has far more than {context:,} tokens;", context, dialect)
    try:
        return tokens.count(folder, text, messages)
    except UnsupportedWork as refused:
        raise ApiError("invalid_value", str(refused), param=dialect.prompt) from refused


def _too_long(what: str, context: int, dialect: Dialect) -> ApiError:
    subject = "prompt" if dialect.prompt == "prompt" else "conversation"
    message = f"The {subject} {what} at most {context:,} fit. Shorten it or ask for fewer tokens."
    return ApiError("context_length_exceeded", message, param=dialect.prompt)


def _structure(fields: Mapping[str, Any], dialect: Dialect, model: RegisteredModel) -> dict | None:
    found = structure.asked(fields, dialect.structures)
    if found is None:
        return None
    structure.require(model.can.ability, *found, model.name)
    return {"kind": found[0].kind, "text": found[0].text}


def _partial(backlot: Mapping[str, Any], dialect: Dialect) -> str | None:
    """The language of `backlot.partial = "ast"`."""
    if backlot.get("partial") is None:
        if backlot.get("language") is not None:
            message = '`backlot.language` goes with `backlot.partial`: "ast".'
            raise ApiError("invalid_value", message, param="backlot.language")
        return None
    if backlot["partial"] != "ast":
        raise ApiError("invalid_value", '`backlot.partial` can be "ast".', param="backlot.partial")
    language = backlot.get("language") or partial.LANGUAGES[0]
    if language not in partial.LANGUAGES:
        message = f"`backlot.language` is one of {', '.join(partial.LANGUAGES)}."
        raise ApiError("invalid_value", message, param="backlot.language")
    return language


def _stops(value: Any) -> tuple[str, ...]:
    if value in (None, "", []):
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(
        isinstance(stop, str) and 0 < len(stop) <= 100 for stop in stops
    ):
        message = "stop is a string or a list of strings (1–100 characters)."
        raise ApiError("invalid_type", message, param="stop")
    if len(stops) > MOST_STOPS:
        raise ApiError("invalid_value", f"At most {MOST_STOPS} stop sequences.", param="stop")
    return tuple(stops)


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    fits = isinstance(value, Mapping) and all(
        isinstance(one, str) and len(name) <= 64 and len(one) <= 512 for name, one in value.items()
    )
    if not fits or len(value) > MOST_METADATA:
        message = (
            f"`metadata` has up to {MOST_METADATA} strings of up to 512 characters, by names of up to 64."
        )
        raise ApiError("invalid_value", message, param="metadata")
    return dict(value)
