"""A chart as a page shows it: what Plotly draws (static/js/charts.js) and the table behind it (parts/chart.html)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from django.utils.html import format_html

MISSING = "–"
MOST_ROWS = 400  # of the table behind a chart; more belongs into a CSV
MOST_SERIES = 7  # the smaller rest is drawn as one
OTHERS = "Others"


@dataclass(frozen=True)
class Series:
    """One line or one colour of bars. `tier` gives it its tier's colour; a y of None is a gap.

    `links` are addresses of the rows that each point counts, as many as there are x. `dash` is "dot" or "dash" for a
    line beside another of the same colour; a `faint` series is what another one is compared with.
    """

    name: str
    x: Sequence[str]
    y: Sequence[float | int | None]
    tier: str = ""
    links: Sequence[str] = ()
    dash: str = ""
    faint: bool = False

    @property
    def cells(self) -> dict[str, str]:
        """The figures as the table has them, by x; one with rows behind it leads to them."""
        figures = dict(zip(self.x, map(_figure, self.y), strict=True))
        linked = {
            x: format_html('<a class="linked" href="{}">{}</a>', link, figures[x])
            for x, link in zip(self.x, self.links, strict=False)
        }
        return {**figures, **linked}


@dataclass(frozen=True)
class Mark:
    """A moment that is drawn as a vertical line: `x` as `tick` writes it, and what happened."""

    x: str
    words: str


@dataclass(frozen=True)
class Chart:
    """`series` share one unit. With `dates` their x are moments in UTC as `tick` writes them.

    `targets` are further lines beside `target`, `span` the first and the last moment that is drawn.
    """

    id: str
    title: str
    unit: str
    series: Sequence[Series]
    kind: str = "bar"
    stacked: bool = False
    dates: bool = True
    x_head: str = "UTC"
    note: str = ""
    target: dict | None = field(default=None)  # {"value": …, "label": …}
    targets: Sequence[dict] = ()
    marks: Sequence[Mark] = ()
    span: Sequence[str] = ()

    @property
    def data_id(self) -> str:
        return f"{self.id}-data"

    @property
    def drawn(self) -> dict:
        """What charts.js reads."""
        return {
            "kind": self.kind,
            "stacked": self.stacked,
            "unit": self.unit,
            "dates": self.dates,
            "targets": [*([self.target] if self.target else []), *self.targets],
            "marks": [{"x": mark.x, "words": mark.words} for mark in self.marks],
            "span": list(self.span),
            "series": [
                {
                    "name": s.name,
                    "tier": s.tier,
                    "x": list(s.x),
                    "y": list(s.y),
                    "links": list(s.links),
                    **({"dash": s.dash} if s.dash else {}),
                    **({"faint": True} if s.faint else {}),
                }
                for s in self.series
            ],
        }

    @property
    def head(self) -> list[str]:
        return [self.x_head, *(f"{series.name}, {self.unit}" for series in self.series)]

    @property
    def rows(self) -> list[list[str]]:
        """The figures once more, newest first where x are moments; at most `MOST_ROWS`."""
        return self._all_rows[:MOST_ROWS]

    @property
    def rows_left_out(self) -> bool:
        return len(self._all_rows) > MOST_ROWS

    @property
    def _all_rows(self) -> list[list[str]]:
        ticks = list(dict.fromkeys(x for series in self.series for x in series.x))
        ticks = sorted(ticks, reverse=True) if self.dates else ticks
        by_tick = [series.cells for series in self.series]
        return [[tick.replace("T", " "), *(cells.get(tick, MISSING) for cells in by_tick)] for tick in ticks]


def tick(moment: datetime) -> str:
    """A moment as Plotly reads it: UTC, without a zone, to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def credit_series(points: Iterable[tuple[str, datetime, int]]) -> list[Series]:
    """Series of credits from (name, moment, micro-credits), largest first; beyond `MOST_SERIES` one for the rest."""
    points = list(points)
    sums: Counter[str] = Counter()
    for name, _, micro in points:
        sums[name] += micro
    kept = [name for name, _ in sums.most_common(MOST_SERIES)]
    figures: dict[str, dict[str, int]] = {name: defaultdict(int) for name in kept}
    for name, moment, micro in points:
        figures.setdefault(name if name in kept else OTHERS, defaultdict(int))[tick(moment)] += micro
    return [
        Series(name, list(by_tick), [float(Decimal(micro).scaleb(-6)) for micro in by_tick.values()])
        for name, by_tick in figures.items()
    ]


def _figure(value: float | int | None) -> str:
    return MISSING if value is None else f"{value:,.6f}".rstrip("0").rstrip(".")
