"""From what was read to a chart: a series per group, a point per step, each with the address of the rows behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from billing.charts import Chart, Mark, Series, tick
from console.overview.asked import Asked, iso
from console.overview.policy.grains import WEEK, WORDS
from console.overview.policy.spread import quantile

WEEK_BEFORE = "a week before"
Points = Mapping[tuple[str, datetime], float | None]


@dataclass(frozen=True)
class Line:
    """A series before it is drawn: `points` by step, and what list of jobs (`did`, and the group) a point opens."""

    name: str
    points: Mapping[datetime, float | None]
    tier: str = ""
    dash: str = ""
    opens: dict[str, str] | None = None
    faint: bool = False


@dataclass(frozen=True)
class Drawn:
    """What a figure draws: its lines, how, and the lines of its targets."""

    unit: str
    lines: Sequence[Line]
    kind: str = "line"
    stacked: bool = False
    targets: Sequence[dict] = field(default_factory=tuple)
    note: str = ""


def chart(name: str, title: str, drawn: Drawn, asked: Asked, marks: Sequence[Mark]) -> Chart:
    """The chart of a figure over the steps that are asked for."""
    starts = asked.steps.starts
    return Chart(
        id=f"overview-{name}",
        title=title,
        unit=drawn.unit,
        series=[series(line, starts, asked) for line in drawn.lines],
        kind=drawn.kind,
        stacked=drawn.stacked,
        x_head="UTC, from",
        note=f"{drawn.note} Per {WORDS[asked.steps.grain]}.".strip(),
        targets=drawn.targets,
        marks=marks,
        span=(tick(asked.steps.since), tick(asked.steps.until)),
    )


def series(line: Line, starts: Sequence[datetime], asked: Asked) -> Series:
    shift = WEEK if line.faint else timedelta(0)
    links = [_rows_of(at - shift, line.opens, asked) for at in starts] if line.opens is not None else []
    return Series(
        name=line.name,
        x=[tick(at) for at in starts],
        y=[rounded(line.points.get(at - shift)) for at in starts],
        tier=line.tier,
        links=links,
        dash=line.dash,
        faint=line.faint,
    )


def _rows_of(at: datetime, opens: dict[str, str], asked: Asked) -> str:
    """The list of jobs behind one point: what they did, in which step, under the filters of the page."""
    span = {"from": iso(at), "to": iso(at + asked.steps.width)}
    return f"{reverse('operate_jobs')}?{urlencode({**asked.only, **opens, **span})}"


def rounded(value: float | None) -> float | None:
    """To four significant figures: what a histogram knows, and enough for a point."""
    return None if value is None else float(f"{value:.4g}")


def both(asked: Asked, draw: Callable[[bool], list[Line]]) -> list[Line]:
    """The lines of now, and where it is asked for those of the week before, faint."""
    return [*draw(False), *(draw(True) if asked.compare else [])]


def named(name: str, before: bool) -> str:
    return f"{name}, {WEEK_BEFORE}" if before else name


def quantiles(
    spreads: Mapping[tuple[str, datetime], Mapping[int, int]], group: str, share: float, per: float
) -> dict[datetime, float | None]:
    """Step → the quantile of one group, divided by `per` (1000 for seconds of milliseconds)."""
    return {
        at: None if (found := quantile(buckets, share)) is None else found / per
        for (name, at), buckets in spreads.items()
        if name == group
    }
