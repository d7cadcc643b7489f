"""From totals and levels to Prometheus families: the custom collector behind /metrics."""

import time
from collections.abc import Callable, Iterable, Iterator

from django.db import DatabaseError, InterfaceError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from console.observability.metrics import catalog, counting, standing
from console.observability.metrics.catalog import Family

Read = Callable[[], tuple[counting.Counted, standing.Levels]]


class Installation(Collector):
    """What the rows say, the same from every process. Where they can't be read it says so, and nothing else."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        began = time.perf_counter()
        try:
            counted, levels = self._read()
        except (DatabaseError, InterfaceError):
            yield _level("database_up", 0.0)
            return
        yield _level("database_up", 1.0)
        yield _level("scrape_read_seconds", time.perf_counter() - began)
        levels |= {("counted_behind_rows", (source,)): float(rows) for source, rows in counted.behind.items()}
        for family in catalog.COUNTED:
            yield counter_or_histogram(family, counted.totals)
        for family in catalog.STANDING:
            if family.key not in ("database_up", "scrape_read_seconds"):
                yield _gauge(family, levels)


def counter_or_histogram(family: Family, totals: counting.Totals) -> Metric:
    """A counted family with all its series."""
    if family.kind == catalog.HISTOGRAM:
        return _histogram(family, totals)
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for (series, labels), value in sorted(totals.items()):
        if series == family.key:
            metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, totals: counting.Totals) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    prefix = f"{family.key}#"
    parts: dict[tuple[str, ...], dict[str, float]] = {}
    for (series, labels), value in totals.items():
        if series.startswith(prefix):
            parts.setdefault(labels, {})[series.removeprefix(prefix)] = value
    for labels, part in sorted(parts.items()):
        metric.add_metric(labels, list(_cumulative(family.buckets, part)), part.get("sum", 0.0))
    return metric


def _cumulative(bounds: Iterable[float], part: dict[str, float]) -> Iterator[tuple[str, float]]:
    """(upper bound, how many were at or below it), +Inf last."""
    below = 0.0
    for place, bound in enumerate((*bounds, "+Inf")):
        below += part.get(str(place), 0.0)
        yield str(bound), below


def _gauge(family: Family, levels: standing.Levels) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for (key, labels), value in sorted(levels.items()):
        if key == family.key:
            metric.add_metric(labels, value)
    return metric


def _level(key: str, value: float) -> Metric:
    family = catalog.BY_KEY[key]
    return GaugeMetricFamily(family.name, family.help, value=value)
