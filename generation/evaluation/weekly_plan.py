"""Which cases a weekly evaluation runs, in which order. Texts first: they take milliseconds, clips take seconds."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generation.evaluation import painting
from generation.evaluation.case_records import EvaluationCase, EvaluationRun
from generation.models import Kind
from safety.golden import cases as golden
from safety.models import FrameClass
from safety.policy.records import GoldenCase

Part, Expected = EvaluationCase.Part, GoldenCase.Expected
# What would be seen in the frames of a prompt of this category, were it made. The others can't be seen in frames.
FRAME_CLASS = {
    "child_safety": FrameClass.CHILD_SAFETY,
    "sexual": FrameClass.INTIMATE,
    "likeness": FrameClass.LIKENESS,
    "violence": FrameClass.VIOLENCE,
}
PAINTED_UNDER = "a red ball rolling left over grass"


@dataclass(frozen=True)
class Size:
    """How many cases of each part; None for all. Short: 40 clips, for CI."""

    golden: int | None
    adversarial: int | None
    painted: int | None
    places: int  # where each picture is painted in


FULL, SHORT = Size(None, None, None, 5), Size(20, 100, 20, 1)


def cases(run: EvaluationRun) -> list[EvaluationCase]:
    """The cases of a run, not saved; the same for the same sets, size and seed."""
    size = SHORT if run.short else FULL
    rows = [*_adversarial(size), *_painted(size, run.seed), *_golden(size)]
    for number, row in enumerate(rows):
        row.run, row.number = run, number
    return rows


def _adversarial(size: Size) -> Iterator[EvaluationCase]:
    for case in spread(list(golden.cases(golden.PROMPT, expected=Expected.BLOCK)), size.adversarial):
        yield from (_prompt(case, Part.ADVERSARIAL, kind) for kind in case.kinds)


def _golden(size: Size) -> Iterator[EvaluationCase]:
    found = list(golden.cases(golden.PROMPT, expected=Expected.PASS))
    if size.golden is not None:  # clips cost the most, so they are what is counted
        found = [case for case in found if Kind.CLIP in case.kinds]
    for case in spread(found, size.golden):
        yield from (_prompt(case, Part.GOLDEN, kind) for kind in case.kinds)


def _painted(size: Size, seed: int) -> Iterator[EvaluationCase]:
    pictures = spread(list(golden.cases(golden.FRAME, expected=Expected.BLOCK)), size.painted)
    for place in range(size.places):
        for case in pictures:
            chance = random.Random(f"{seed}:{case.pk}:{place}")
            yield EvaluationCase(
                part=Part.PAINTED,
                golden_case=case.pk,
                prompt=PAINTED_UNDER,
                must_block=True,
                category=case.category,
                recipe=case.recipe,
                at_frame=chance.randrange(painting.FRAMES - painting.length(case.recipe) + 1),
            )


def _prompt(case: GoldenCase, part: str, kind: str) -> EvaluationCase:
    return EvaluationCase(
        part=part,
        golden_case=case.pk,
        kind=kind,
        prompt=case.text,
        must_block=case.expected == Expected.BLOCK,
        category=case.category,
    )


def spread(rows: Sequence, count: int | None) -> list:
    """`count` of the rows, evenly over all of them, so that every kind of case is among them."""
    if count is None or count >= len(rows):
        return list(rows)
    return [rows[place * len(rows) // count] for place in range(count)]
