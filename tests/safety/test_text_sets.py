"""The labelled texts: the splits share nothing, the frozen one is what it was, and every one of them only grows."""

import itertools
import json

from safety.training import text_set
from safety.training.recipe import CATEGORIES

# What was released: a split may have more, never less. Raise these with a release, never lower them.
RELEASED = json.loads((text_set.FOLDER / "released.json").read_text())


def test_every_count_is_at_least_what_was_released():
    for split in text_set.FILES:
        now = text_set.counts(split)
        shrunk = {
            name: (count, now.get(name, 0))
            for name, count in RELEASED[split].items()
            if now.get(name, 0) < count
        }
        assert shrunk == {}, f"{split} lost texts"


def test_the_splits_share_no_template_and_no_filling():
    for one, other in itertools.combinations(text_set.FILES, 2):
        assert not set(text_set.templates(one)) & set(text_set.templates(other))
        fillings = [
            {value.lower() for values in text_set.read(split)["slots"].values() for value in values}
            for split in (one, other)
        ]
        assert not fillings[0] & fillings[1]


def test_no_frozen_text_is_trained_on():
    frozen = {text.text.lower() for text in text_set.expand("frozen", per_template=40)}
    for split in ("train", "calibration", text_set.PROMPTS, text_set.APART):
        assert not frozen & {text.text.lower() for text in text_set.expand(split, per_template=60)}


def test_every_category_has_texts_in_every_split():
    for split in text_set.SPLITS:
        texts = text_set.expand(split, per_template=1)
        for kind, categories in CATEGORIES.items():
            assert {text.category for text in texts if text.kind == kind} == {*categories, None}


def test_the_same_texts_come_out_every_time():
    once = text_set.expand("frozen", per_template=5)
    assert once == text_set.expand("frozen", per_template=5)
    assert len({text.text for text in once}) == len(once)
    assert not [text for text in once if "[[" in text.text]


def test_child_safety_is_placeholders_only():
    """No text of this category says anything but that it stands for something."""
    words = (
        "placeholder",
        "canary",
        "stand-in",
        "stands for",
        "dummy",
        "test",
        "sample",
        "marker",
        "example",
        "category",
    )
    for split in text_set.SPLITS:
        texts = [
            one.text.lower()
            for one in text_set.expand(split, per_template=3)
            if one.category == "child_safety"
        ]
        assert [text for text in texts if not any(word in text for word in words)] == []
