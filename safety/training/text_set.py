"""The labelled texts of the repository, expanded from templates: the same texts on every machine."""

import itertools
import json
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "text_sets"
SPLITS = ("train", "calibration", "development", "frozen")
PROMPTS = "prompts"  # trained on beside "train": requests as people type them, most of them templates without a slot
APART = "violence"  # the category with training texts of its own, of which the others learn nothing
FILES = (*SPLITS, PROMPTS, APART)
SLOT = re.compile(r"\[\[(\w+)\]\]")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text. `category` is what it must be refused for, None where it must pass; `topic` is what it is about."""

    text: str
    kind: str  # clip, code
    category: str | None
    topic: str | None
    template: str
    split: str


def read(split: str) -> dict:
    return json.loads((FOLDER / f"{split}.json").read_text())


def expand(split: str, *, per_template: int) -> list[Labelled]:
    """At most so many different texts of each template, chosen by its own seed, in the order of the file."""
    return list(_expand(read(split), split, per_template))


def _expand(content: dict, split: str, per_template: int) -> Iterator[Labelled]:
    slots = content["slots"]
    for category, kinds in content["blocked"].items():
        for kind, templates in kinds.items():
            for template in templates:
                for text in fill(template, slots, per_template, split):
                    yield Labelled(text, kind, category, None, template, split)
    for kind, topics in content["benign"].items():
        for topic, templates in topics.items():
            for template in templates:
                for text in fill(template, slots, per_template, split):
                    yield Labelled(text, kind, None, topic, template, split)


def templates(split: str) -> list[str]:
    """Every template, in the order of the file."""
    content = read(split)
    groups = itertools.chain(content["blocked"].values(), content["benign"].values())
    return [template for group in groups for listed in group.values() for template in listed]


def counts(split: str) -> dict[str, int]:
    """Distinct texts that the split can give, per category and kind, and per benign topic: what may only grow."""
    content = read(split)
    found = {}
    for name, group in (("blocked", content["blocked"]), ("benign", content["benign"])):
        for outer, inner in group.items():
            for nested, listed in inner.items():
                sizes = [_combinations(template, content["slots"]) for template in listed]
                found[f"{name}/{outer}/{nested}"] = sum(sizes)
    return found


def fill(template: str, slots: dict[str, list[str]], most: int, seed: str) -> list[str]:
    """The template's texts, or so many of them; a slot that stands twice is filled with two values."""
    names = SLOT.findall(template)
    whole = _combinations(template, slots)
    chance = random.Random(f"{seed}/{template}")  # a frozen choice, not a secret one
    picked = range(whole) if whole <= most else sorted(chance.sample(range(whole), most))
    return [_filled(template, names, slots, number) for number in picked]


def _filled(template: str, names: list[str], slots: dict[str, list[str]], number: int) -> str:
    values = []
    for name in names:
        number, place = divmod(number, len(slots[name]))
        values.append(slots[name][place])
    remaining = iter(values)
    return SLOT.sub(lambda _: next(remaining), template)


def _combinations(template: str, slots: dict[str, list[str]]) -> int:
    return math.prod(len(slots[name]) for name in SLOT.findall(template))
