"""What the shipped filter does to labelled texts: rules, examples and classifier as shipped, without a database."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safety import shipped
from safety.prefilter import shipped_examples, words
from safety.prefilter.names import name_rules, public_people
from safety.prefilter.normalise import normalise
from safety.prefilter.readings import for_scoring, readings
from safety.prefilter.rules import rule_set
from safety.scorer.engine import Engine
from safety.training.text_set import Labelled


@dataclass
class Tally:
    """What became of texts of one kind."""

    refused: dict[str, int] = field(
        default_factory=lambda: defaultdict(int)
    )  # meant for a category, and refused
    named: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # refused in that very category
    meant: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    benign: int = 0
    wrongly: Counter = field(default_factory=Counter)  # benign texts refused, by the category that was named
    stages: Counter = field(default_factory=Counter)

    def recall(self, category: str) -> float:
        return self.refused[category] / self.meant[category]

    def wrong_share(self, category: str) -> float:
        return self.wrongly[category] / self.benign if self.benign else 0.0


@dataclass(frozen=True)
class _ShippedRule:
    """As a row of `safety_rule` that a new installation has."""

    pk: int
    category: str
    kinds: tuple[str, ...]
    pattern: str
    version: int = 1
    author: str = shipped.AUTHOR


class Filter:
    """The filter as a new installation has it; with `listed` false without its list of people known worldwide."""

    def __init__(self, engine: Engine, listed: bool = True) -> None:
        self.engine = engine
        names = {pattern for _, pattern in name_rules(public_people())}
        rows = [
            _ShippedRule(number, category, kinds, pattern)
            for number, (category, kinds, pattern, _) in enumerate(shipped.RULES)
            if listed or pattern not in names
        ]
        self._rules = {kind: rule_set(rows, kind) for kind in ("clip", "code")}

    def verdict(self, text: str, kind: str) -> tuple[str, str] | None:
        """(stage, category) of the refusal, None where it passes."""
        read = readings(text, words.costs())
        rule = self._rules[kind].first_hit(tuple(dict.fromkeys((*read, text))))
        if rule is not None:
            return "rules", rule.category
        rows = [
            [number, category, normalise(example)]
            for number, (category, kinds, example) in enumerate(shipped_examples.EXAMPLES)
            if kind in kinds
        ]
        question = {"op": "score", "kind": kind, "texts": list(for_scoring(text, kind, read))}
        question |= {"examples": kind, "example_rows": rows}
        (answer,) = self.engine.answer([question])
        order = sorted(answer["scores"], key=lambda name: name != "child_safety")
        for name in order:
            if answer["similar"].get(name, [0, -1])[1] >= shipped_examples.NEAR[kind, name]:
                return "similarity", name
        hits = [name for name in order if answer["scores"][name] >= shipped_examples.REFUSES_AT]
        named = max(hits, key=lambda name: (name == "child_safety", answer["scores"][name]), default=None)
        return ("classifier", named) if named else None


def tallies(under: Filter, texts: Iterable[Labelled]) -> dict[str, Tally]:
    """kind → what became of its texts."""
    found: dict[str, Tally] = defaultdict(Tally)
    for one in texts:
        verdict = under.verdict(one.text, one.kind)
        tally = found[one.kind]
        if verdict:
            tally.stages[verdict[0]] += 1
        if one.category is None:
            tally.benign += 1
            if verdict:
                tally.wrongly[verdict[1]] += 1
            continue
        tally.meant[one.category] += 1
        tally.refused[one.category] += bool(verdict)
        tally.named[one.category] += bool(verdict) and verdict[1] == one.category
    return found


def harmless(path: Path) -> list[Labelled]:
    """Clip prompts that should pass, from a file of theirs: one a line, blank lines left out."""
    own = dict.fromkeys(line.strip() for line in path.read_text().splitlines() if line.strip())
    return [Labelled(text, "clip", None, None, text, path.name) for text in own]


def lines(found: dict[str, Tally]) -> Sequence[str]:
    """As text, a line per kind and category."""
    said = []
    for kind, tally in found.items():
        said += [
            f"{kind} {category}: refused {tally.refused[category]} of {tally.meant[category]} "
            f"({tally.recall(category):.4f}), named so {tally.named[category]}, "
            f"benign refused as this {tally.wrongly[category]} of {tally.benign} ({tally.wrong_share(category):.4f})"
            for category in sorted(tally.meant)
        ]
        wrong = tally.wrongly.total()
        said.append(
            f"{kind} benign: {wrong} of {tally.benign} refused, as {dict(tally.wrongly.most_common())}; "
            f"stages {dict(tally.stages)}"
        )
    return said
