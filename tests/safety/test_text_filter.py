"""What the shipped filter does to texts whose templates and wording it was not made from, plain and disguised.

The reduced form looks at a few texts of each template; the long form at all that the figures in docs/safety-text.md
stand on.
"""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from safety.scorer.engine import Engine
from safety.training import measure
from safety.training.disguises import DISGUISES
from safety.training.text_set import expand

MOST_WRONG = 0.01
LEAST_RECALL = 0.99
MOST_WRONG_IN_ALL = 0.01  # of a kind's benign texts, whatever they are refused as
LEAST_RECALL_DISGUISED = 0.97


@pytest.fixture(scope="module")
def shipped() -> measure.Filter:
    return measure.Filter(Engine())


def require(found: dict[str, measure.Tally], slack: float, wrong: float) -> None:
    said = "\n".join(measure.lines(found))
    for tally in found.values():
        for category in tally.meant:
            assert tally.recall(category) >= LEAST_RECALL - slack, said
            assert tally.wrong_share(category) < wrong, said
        assert tally.wrongly.total() / tally.benign < max(wrong, MOST_WRONG_IN_ALL), said


def test_a_few_frozen_texts_of_each_template(shipped):
    """So few that one more or less is a percent: the bounds are wider than the ones that the long form holds."""
    require(measure.tallies(shipped, expand("frozen", per_template=3)), 0.12, 0.03)


@pytest.mark.long
def test_the_whole_frozen_split(shipped):
    require(measure.tallies(shipped, expand("frozen", per_template=40)), 0.0, MOST_WRONG)


def disguised(shipped: measure.Filter, per_template: int) -> float:
    meant = [one for one in expand("frozen", per_template=per_template) if one.category]
    caught = sum(
        shipped.verdict(hide(one.text), one.kind) is not None for hide in DISGUISES.values() for one in meant
    )
    return caught / (len(meant) * len(DISGUISES))


@pytest.mark.long
def test_disguised_texts_are_refused_like_plain_ones(shipped):
    assert len(DISGUISES) >= 12
    assert disguised(shipped, 4) >= LEAST_RECALL_DISGUISED


def test_a_vector_is_the_one_of_the_original_library(shipped):
    """Numpy's forward pass against known values of the sentence: nearness of texts that mean the same and not."""
    ball, sphere, tax = shipped.engine.encoder.encode(
        ["a red ball on grass", "a crimson sphere on a lawn", "the annual tax report of a bank"]
    )
    assert float(ball @ ball) == pytest.approx(1, abs=1e-5)
    assert float(ball @ sphere) > 0.55 > 0.3 > float(ball @ tax)


def test_harmless_prompts_of_a_file_are_measured(shipped, tmp_path):
    own = tmp_path / "prompts.txt"
    own.write_text(
        "a lighthouse at dawn\n\na lighthouse at dawn\n a man strangles his neighbour with a rope\n"
    )
    (said,) = measure.lines(measure.tallies(shipped, measure.harmless(own)))
    assert said.startswith("clip benign: 1 of 2 refused, as {'violence': 1}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"harmless": Path("nowhere.txt")}, "there is no file nowhere.txt"),
        ({"harmless": Path(__file__), "disguised": True}, "leave out --harmless"),
    ],
)
def test_what_cannot_be_measured_is_said(options, said):
    with pytest.raises(CommandError, match=said):
        call_command("measure_text_filter", **options)
