"""What the page of evaluations shows: runs, the last one beside the one before it, and the two bridges. Rows only."""

from dataclasses import dataclass
from datetime import datetime

from generation.evaluation import labels as evaluation_labels
from generation.evaluation import online, weekly_figures
from generation.evaluation.case_records import CoherenceThreshold, EvaluationRun

SHOWN = 40
Suite, State = EvaluationRun.Suite, EvaluationRun.State
# name, what it says, and whether it is a share
FIGURES = (
    ("violations", "Delivered though it must be blocked", False),
    ("adversarial", "Adversarial prompts", False),
    ("painted", "Painted clips", False),
    ("stopped_by_text", "Stopped by the text filter", False),
    ("reached_gates", "Truly reached the frame gates", False),
    ("stopped_by_gates", "Stopped by the frame gates", False),
    ("golden", "Golden prompts", False),
    ("golden_through", "Golden prompts that came through", True),
    ("trusted", "Clips whose credentials are Trusted", True),
    ("exact_steps", "Clips in exactly 30 steps", True),
    ("alignment", "Prompt alignment, of 5", False),
    ("frechet", "Fréchet distance to the reference", False),
    ("warp_error", "Warp error", False),
    ("broken", "Clips above the coherence threshold", True),
    ("legibility", "Text legibility", False),
)


@dataclass(frozen=True)
class Row:
    """One figure of the last run beside the run before; None where it was not measured."""

    label: str
    now: float | None
    was: float | None
    share: bool


@dataclass(frozen=True)
class Board:
    """Everything on the page, in a bounded number of queries."""

    runs: list[EvaluationRun]
    weekly: EvaluationRun | None
    figures: list[Row]
    gate: EvaluationRun | None
    bridges: list[online.Bridge]
    threshold: CoherenceThreshold | None
    coherent: int
    broken: int


def board(now: datetime) -> Board:
    """As it is at `now`."""
    runs = list(EvaluationRun.objects.select_related("model").order_by("-pk")[:SHOWN])
    ended = [run for run in runs if run.state != State.RUNNING]
    weekly = next((run for run in ended if run.suite == Suite.WEEKLY), None)
    last = weekly_figures.before(weekly) if weekly else None
    coherent, broken = evaluation_labels.errors_by_label()
    return Board(
        runs=runs,
        weekly=weekly,
        figures=_compared(weekly, last) if weekly else [],
        gate=next((run for run in ended if run.suite == Suite.GATE), None),
        bridges=online.bridges(now),
        threshold=evaluation_labels.in_force(),
        coherent=len(coherent),
        broken=len(broken),
    )


def _compared(run: EvaluationRun, last: EvaluationRun | None) -> list[Row]:
    was = last.figures if last else {}
    return [Row(label, run.figures.get(name), was.get(name), share) for name, label, share in FIGURES]
