"""What each end of a piece of work costs: the table that is shown before submit and that settlement follows. Pure.

A reason code may carry a detail after a colon (`system_failed:internal_error`); the rule is that of the part before it.
"""

from dataclasses import dataclass

FULL, DONE, TENTH, NOTHING = "quote or less", "what was done", "the price of a repeat", "nothing"


@dataclass(frozen=True)
class Rule:
    """One end: its reason code on the statement, the outcome of its usage event, and what is charged."""

    reason_code: str
    outcome: str
    when: str
    charged: str
    words: str


RULES = (
    Rule(
        "delivered",
        "delivered",
        "It is delivered",
        FULL,
        "A clip costs its quote. Code costs the tokens read and written, never more than the quote.",
    ),
    Rule(
        "cached",
        "cached",
        "An exact repeat is served from the cache",
        TENTH,
        "A clip that was made before has a price of its own, never more than the quote.",
    ),
    Rule(
        "cancelled_by_user",
        "cancelled",
        "You cancel it while it runs",
        DONE,
        "The share of the quote for the steps that ran, or the tokens that were delivered.",
    ),
    Rule(
        "cancelled_before_start",
        "cancelled",
        "You cancel it before it runs",
        NOTHING,
        "Nothing ran, so nothing is charged.",
    ),
    Rule(
        "system_failed",
        "failed",
        "The system fails",
        NOTHING,
        "A crash, a broken image, a check that did not answer, a clip that could not be signed, a stream that broke.",
    ),
    Rule(
        "blocked_by_safety",
        "blocked",
        "The finished result is blocked",
        NOTHING,
        "What may not be delivered is not charged.",
    ),
    Rule(
        "timed_out",
        "failed",
        "It waits too long for a person or a signature",
        NOTHING,
        "The job ends by itself and its hold is released.",
    ),
    Rule(
        "settled_late",
        "failed",
        "Its end was recorded without a settlement",
        NOTHING,
        "Upkeep releases the hold within a minute, and the people on call are told.",
    ),
    Rule(
        "hold_expired",
        "failed",
        "Nothing is known of it any more",
        NOTHING,
        "A hold that nobody renews ends by the database's clock.",
    ),
)

CHARGED = frozenset(
    {"delivered", "cancelled", "cached"}
)  # outcomes; whatever the system failed is not among them

_BY_CODE = {rule.reason_code: rule for rule in RULES}


def rule_for(reason_code: str) -> Rule | None:
    """The rule of a reason code as it stands on a statement; None for one that has none (a reason of older rules)."""
    return _BY_CODE.get(reason_code.partition(":")[0])
