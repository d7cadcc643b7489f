"""What processes count themselves: requests and tasks, in files that a machine's processes share.

Each process writes its own memory-mapped files under METRICS_FOLDER, and whoever is scraped adds up those of all of
them, the ended ones too (prometheus_client's multi-process mode). The folder belongs to one machine. settings.py names
it to prometheus_client before that is imported.
"""

import shutil
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from console.observability.metrics import catalog

_registry = CollectorRegistry()


def _histogram(key: str) -> Histogram:
    family = catalog.BY_KEY[key]
    return Histogram(family.name, family.help, family.labels, buckets=family.buckets, registry=_registry)


def _counter(key: str) -> Counter:
    family = catalog.BY_KEY[key]
    return Counter(family.name, family.help, family.labels, registry=_registry)


REQUESTS = _histogram("http_request_duration_seconds")
API_ERRORS = _counter("api_errors")
TASKS = _histogram("task_duration_seconds")


def collect_from(folder: Path, registry: CollectorRegistry) -> None:
    """Let a registry read what the machine's processes wrote there."""
    if folder.is_dir():
        MultiProcessCollector(registry, path=str(folder))


def forget(folder: Path) -> None:
    """Before a machine's processes start anew: their counters begin at 0, as Prometheus expects of a restart."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
