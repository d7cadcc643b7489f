"""A chart as a page shows it: what Plotly draws (static/js/charts.js) and the table behind it (parts/chart.html)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.utils.html import format_html

MISSING = "–"
MOST_ROWS = 400  # of the table behind a chart; more belongs into a CSV


@dataclass(frozen=True)
class Series:
    """One line or one colour of bars. `tier` gives it its tier's colour; a y of None is a gap.

    `links` are addresses of the rows that each point counts, as many as there are x.
    """

    name: str
    x: Sequence[str]
    y: Sequence[float | int | None]
    tier: str = ""
    links: Sequence[str] = ()

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
class Chart:
    """`series` share one unit. With `dates` their x are moments in UTC as `tick` writes them."""

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
            "target": self.target,
            "series": [
                {"name": s.name, "tier": s.tier, "x": list(s.x), "y": list(s.y), "links": list(s.links)}
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


def _figure(value: float | int | None) -> str:
    return MISSING if value is None else f"{value:,.6f}".rstrip("0").rstrip(".")
