"""What an engine for code is asked, what it can do, and what it gives back.

Standard library only, so that admission can refuse by name what a model's engine can't do, before anything is queued.

An engine is whatever has the attributes and the one method of `CodeEngine` below. The local one is `code.py`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]
StructureKind = Literal["json_object", "json_schema", "regex", "grammar"]
# Between two pieces an engine that waits (for a server, for its turn) gives an empty one at least this often: then its
# worker renews the lease and hears of a cancellation.
WAITS_AT_MOST_S = 0.25


@dataclass(frozen=True)
class Message:
    """One turn of a conversation, its text parts joined."""

    role: Role
    content: str


@dataclass(frozen=True)
class Structure:
    """What the answer has to be. `text` is the schema as JSON, the pattern, or the grammar; "" for json_object."""

    kind: StructureKind
    text: str = ""

    @property
    def schema(self) -> Mapping:
        """The JSON schema that a json_object or json_schema answer has to fit."""
        return json.loads(self.text) if self.text else {"type": "object"}


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. `max_tokens` are those still to write; a temperature of 0 takes the likeliest token.

    `stop` sequences end the answer and are no part of it. The same seed, work and revision give the same answer.
    """

    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...] = ()
    structure: Structure | None = None


@dataclass(frozen=True)
class CodeWork:
    """An answer to write: behind `prompt`, or as the next turn of `messages` where there are any.

    `given` are the ids, and `given_text` the text, of what was delivered of it by attempts that ended: the engine goes
    on behind it and doesn't send it again. `lane` is the job's, for an engine that has priorities of its own.
    """

    prompt: str
    sampling: Sampling
    messages: tuple[Message, ...] = ()
    given: tuple[int, ...] = ()
    given_text: str = ""
    lane: str = ""


@dataclass(frozen=True)
class Piece:
    """What to deliver next. `ids` were sampled for it; a token whose text is held back comes with a later piece.

    `finish_reason` is None except in the last piece: "stop" (the model ended, or a stop sequence came) or "length".
    """

    text: str
    ids: tuple[int, ...]
    finish_reason: str | None = None

    @property
    def tokens(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Ability:
    """What an engine can do beyond drawing with a temperature, a nucleus, a seed and stop sequences, which all can."""

    structures: frozenset[StructureKind] = frozenset()
    messages: bool = True


# By the `engine` of a code model's facts (revisions/model_facts.py). An engine that is new here adds its line.
ABILITIES: dict[str, Ability] = {
    "local": Ability(),
    "vllm": Ability(frozenset(("json_object", "json_schema", "regex", "grammar"))),
}


class CodeEngine(Protocol):
    """A loaded model, or the way to a server that has it. Streams may run side by side in threads."""

    revision: str
    device_name: str
    threads: int
    context_length: int

    def stream(self, work: CodeWork) -> Iterator[Piece]:
        """The answer in pieces, the last with its finish_reason. Closing the iterator ends the work, also on a server.

        Raises EngineError (errors.py), at once or between two pieces.
        """
        ...
