"""The live rules, compiled. Each screening asks which version is in force and compiles only a new one."""

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from accounts import batch
from accounts.errors import ApiError
from accounts.operations import Severity, report
from safety import shipped
from safety.models import Rule
from safety.policy import rules as policy_rules
from safety.policy import suspensions as policy_suspensions
from safety.policy.suspensions import CategoryState
from safety.prefilter import text_stages
from safety.prefilter.folding import plain_letters
from safety.prefilter.names import without_harmless_names
from safety.prefilter.patterns import BadPattern, compile_pattern
from safety.prefilter.text_stages import Stages

log = logging.getLogger(__name__)

VERSION: batch.Statement = ("SELECT version, changed_at FROM safety_policyversion WHERE name = 'text'", ())


@dataclass(frozen=True, slots=True)
class CompiledRule:
    id: int
    version: int
    category: str
    expression: object  # a compiled RE2 pattern
    of_names: bool = (
        False  # it shipped, and reads a text without the names that say nothing about public people
    )

    def hits(self, text: str) -> bool:
        return self.expression.search(text) is not None


@dataclass(frozen=True)
class RuleSet:
    """The live rules for one kind of prompt, child safety first.

    `combined` is all of them as one alternation: a text that passes it, which is nearly every text, has
    been read once. It is None where the alternation can't be compiled; then the rules are asked one by one.
    """

    rules: tuple[CompiledRule, ...]
    combined: object | None = field(default=None)
    patterns: tuple[str, ...] = ()  # as the rules were written

    def first_hit(self, texts: tuple[str, ...]) -> CompiledRule | None:
        named = tuple(dict.fromkeys(plain_letters(text) for text in texts))
        every = tuple(dict.fromkeys((*texts, *named)))
        if self.combined is not None and all(self.combined.search(text) is None for text in every):
            return None
        named = tuple(map(without_harmless_names, every))
        return next(
            (rule for rule in self.rules if any(map(rule.hits, named if rule.of_names else texts))), None
        )


@dataclass(frozen=True)
class LiveText:
    """All that decides about one kind of prompt: the rules, and what the later stages are asked and refuse from."""

    version: int  # of the policy `text`
    rules: RuleSet
    stages: Stages
    suspended: Mapping[str, CategoryState]  # the categories of which no request is taken


_lock = threading.Lock()
_known: dict[str, LiveText] = {}
_known_version: tuple[int, datetime] | None = None
_known_until: datetime | None = None  # what was changed for a time returns by itself


def live_rules(kind: str) -> RuleSet:
    """The rules in force now for `clip` or `code`, as `live_text`."""
    return live_text(kind).rules


def live_text(kind: str) -> LiveText:
    """What is in force now for `clip` or `code`: one query when it is unchanged, a few when it is not.

    Raises ApiError server_is_overloaded where a stored rule can't be compiled: a filter that can't be read
    is no filter, and nothing is admitted past it.
    """
    global _known, _known_version, _known_until
    (found,) = batch.read([VERSION])
    version, now = found[0] if found else None, timezone.now()
    with _lock:
        unchanged = version is not None and version == _known_version
        if unchanged and (_known_until is None or now < _known_until):
            return _known[kind]
    # Read after their version: a change in between is then seen as new at the next request.
    rows, until = policy_rules.live(now)
    stages, stages_until = text_stages.live(now)
    suspended, suspended_until = policy_suspensions.live(now)
    number = version[0] if version else 0
    loaded = {
        kind: LiveText(number, rule_set(rows, kind), stages[kind], suspended[kind])
        for kind in ("clip", "code")
    }
    with _lock:
        _known, _known_version = loaded, version
        _known_until = min((one for one in (until, stages_until, suspended_until) if one), default=None)
    return loaded[kind]


def rule_set(rows: Iterable[Rule], kind: str) -> RuleSet:
    """The rules of a kind compiled, child safety first. Raises ApiError as `live_rules`."""
    rows = sorted((row for row in rows if kind in row.kinds), key=lambda row: row.category != "child_safety")
    rules = tuple(
        CompiledRule(row.pk, row.version, row.category, _compiled(row), shipped.speaks_of_names(row))
        for row in rows
    )
    if not rows:
        return RuleSet(rules)
    try:
        combined = compile_pattern("|".join(f"(?:{row.pattern})" for row in rows), longest=None)
    except BadPattern:
        # Legal on their own, not together (two groups of one name, or simply too much): slower, never weaker.
        log.info("the rules can't be combined, they are asked one by one", extra={"rules": len(rows)})
        combined = None
    return RuleSet(rules, combined, tuple(row.pattern for row in rows))


def _compiled(row: Rule):
    try:
        return compile_pattern(row.pattern)
    except BadPattern as error:
        log.error("a stored rule can't be compiled", extra={"rule": row.pk, "reason": str(error)})
        report("safety.rule_unreadable", Severity.CRITICAL, f"rule:{row.pk}", {"reason": str(error)})
        raise ApiError(
            "server_is_overloaded",
            "Prompts can't be checked at the moment. Nothing was queued or charged; try again in 30 seconds.",
            retry_after_s=30,
        ) from error
