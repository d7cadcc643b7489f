"""The three contracts that ask for code: how each names things, and which of its fields no engine here can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Told by clients about themselves: accepted, and not kept.
TAGS = ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
OURS = ("model", "temperature", "top_p", "seed", "stop", "stream", "stream_options", "backlot", *TAGS)
PENALTIES = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
}
TOOLS = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "service_tier": ("auto", "default"),
    "moderation": (),
    "prompt_cache_options": (),
}


@dataclass(frozen=True)
class Dialect:
    """`limits` are its names for the most tokens to write, the better first. Of `neutral` fields only these values
    pass: they ask for nothing. `structures` names the fields that ask for a structure."""

    name: str
    prefix: str
    prompt: str
    limits: tuple[str, ...]
    own: tuple[str, ...]
    neutral: Mapping[str, tuple]
    structures: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.own, *self.limits, *OURS, *self.neutral)

    def limit(self, fields: Mapping[str, Any]) -> str:
        """The name under which a request gives the most tokens."""
        return next((name for name in self.limits if fields.get(name) is not None), self.limits[0])


COMPLETION = Dialect(
    name="completion",
    prefix="cmpl-",
    prompt="prompt",
    limits=("max_tokens",),
    own=("prompt",),
    neutral={
        "n": (1,),
        "best_of": (1,),
        "echo": (False,),
        "logprobs": (0,),
        "suffix": ("",),
        **PENALTIES,
    },
)
CHAT = Dialect(
    name="chat",
    prefix="chatcmpl-",
    prompt="messages",
    limits=("max_completion_tokens", "max_tokens"),
    own=("messages", "response_format"),
    neutral={
        "n": (1,),
        "logprobs": (False,),
        "top_logprobs": (0,),
        "store": (False,),
        "metadata": ({},),
        "modalities": (["text"],),
        "audio": (),
        "prediction": (),
        "web_search_options": (),
        "functions": ([],),
        "function_call": ("none",),
        "reasoning_effort": (),
        "verbosity": (),
        **PENALTIES,
        **TOOLS,
    },
    structures={"format": "response_format"},
)
RESPONSE = Dialect(
    name="response",
    prefix="resp_",
    prompt="input",
    limits=("max_output_tokens",),
    own=("input", "instructions", "store", "metadata", "background", "text"),
    neutral={
        "include": ([],),
        "top_logprobs": (0,),
        "truncation": ("disabled",),
        "reasoning": ({},),
        "previous_response_id": (),
        "conversation": (),
        "max_tool_calls": (),
        "context_management": (),
        "access_programs": (),
        "background_options": (),
        "image": (),
        **TOOLS,
    },
    structures={"format": "text.format"},
)
DIALECTS = {one.name: one for one in (COMPLETION, CHAT, RESPONSE)}


def prefix_of(spec: Mapping[str, Any] | None) -> str:
    """How the public id of a stored job begins; jobs from before there were dialects are completions."""
    return DIALECTS[(spec or {}).get("dialect", COMPLETION.name)].prefix


def prompt_field(name: str) -> str:
    """The field in which a contract takes what is to be answered."""
    return DIALECTS[name].prompt
