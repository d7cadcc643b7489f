"""Why something was charged, or not, in plain words: the rule it was settled by, and what happened. Pure.

A reason code is written when work is settled and never changes; the rules are settlement_rules.RULES.
"""

from dataclasses import dataclass

from billing.settlement_rules import rule_for

# What stands before the colon of a reason code → what happened.
HAPPENED = {
    "delivered": "it was delivered",
    "cached": "it was an exact repeat, served from the cache",
    "cancelled_by_user": "it was cancelled while it ran",
    "cancelled_before_start": "it was cancelled before it ran",
    "system_failed": "the system failed",
    "blocked_by_safety": "the finished result was blocked",
    "timed_out": "it waited too long for a person or a signature",
    "settled_late": "its end had been recorded without a settlement",
    "hold_expired": "nothing was known of it any more",
}
# What stands behind the colon of a reason code → what happened, where that says more than the rule.
FAULTS = {
    "not_finite": "The model's numbers ran out of range (NaN), so there was no picture to deliver.",
    "internal_error": "Three tries in a row failed.",
    "review": "It waited for a person's decision until its time was over.",
    "held": "It waited for the signer until its time was over; nothing leaves unsigned.",
}


@dataclass(frozen=True)
class Reason:
    """`happened` and `rule` are words for people, `code` is what stands on the record."""

    code: str
    happened: str
    rule: str
    charged: bool


def explain(code: str, amount_micro: int) -> Reason:
    """What a reason code means, and whether it cost anything."""
    rule = rule_for(code)
    happened = HAPPENED.get(code.partition(":")[0], f"it ended as {code.replace('_', ' ')}")
    words = rule.words if rule else "It was settled by the rules in force when it was quoted."
    return Reason(code, happened, FAULTS.get(code.partition(":")[2], words), amount_micro > 0)
