"""The cascade of text checks before admission: cheap stages first, stop at the first block."""

import time
from dataclasses import dataclass

from safety.prefilter.normalise import normalise
from safety.prefilter.rules import live_rules


@dataclass(frozen=True, slots=True)
class Screening:
    """What the cascade said about one text. `category` and the rule are set where it was refused.

    `elapsed_ms` is the safety tax of this request.
    """

    allowed: bool
    category: str | None
    rule_id: int | None
    rule_version: int | None
    elapsed_ms: float


def screen_prompt(text: str, kind: str) -> Screening:
    """Check a prompt of a `clip` or `code` request against the rules in force at this moment.

    Raises ApiError server_is_overloaded where the rules can't be read: an unchecked prompt is never admitted.
    """
    started = time.perf_counter()
    rules = live_rules(kind)
    plain = normalise(text)
    # A rule may speak of what normalising takes away, so the text as written is read as well where it
    # differs.
    hit = rules.first_hit((plain,) if plain == text else (plain, text))
    return Screening(
        allowed=hit is None,
        category=hit.category if hit else None,
        rule_id=hit.id if hit else None,
        rule_version=hit.version if hit else None,
        elapsed_ms=(time.perf_counter() - started) * 1000,
    )
