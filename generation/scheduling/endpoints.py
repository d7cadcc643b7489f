"""Asks the endpoints behind pools how full they are, and keeps the answer for claims and admissions."""

from urllib.error import URLError
from urllib.request import urlopen

from django.db.models import Sum
from django.db.models.functions import Now
from prometheus_client.parser import text_string_to_metric_families

from accounts import operations
from generation.models import EndpointLoad, LaneOrganization, Pool
from generation.policy import endpoint

PATIENCE_S = 1.0
MOST_BYTES = 4_000_000


def look() -> int:
    """Read every endpoint once; how many answered. One that doesn't is told of once, and no longer counts as full."""
    return sum(_look(pool) for pool in Pool.objects.exclude(metrics_url=""))


def _look(pool: Pool) -> bool:
    try:
        seen = endpoint.load(samples(_read(pool.metrics_url)))
    except (URLError, OSError, ValueError, endpoint.Unreadable) as problem:
        _not_read(pool, f"{type(problem).__name__}: {problem}"[:500])
        return False
    lanes = LaneOrganization.objects.filter(lane__pool=pool, running__gt=0)
    running = lanes.aggregate(units=Sum("running_units_micro"))["units"] or 0
    values = {
        "running": seen.running,
        "waiting": seen.waiting,
        "cache_share": seen.cache_share,
        "capacity_units_micro": endpoint.capacity_micro(seen, running),
        "problem": "",
        "at": Now(),
    }
    EndpointLoad.objects.update_or_create(pool=pool, defaults=values)
    return True


def _read(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("metrics_url has to begin with http:// or https://")
    with urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310  the scheme was checked; operators write the address
        return answer.read(MOST_BYTES).decode("utf-8", "replace")


def samples(text: str) -> dict[str, float]:
    """Metric → value from the Prometheus text format; summed over labels, the cache's share being the largest."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            before = found.get(sample.name)
            if before is None:
                found[sample.name] = sample.value
            elif sample.name in endpoint.CACHE:
                found[sample.name] = max(before, sample.value)
            else:
                found[sample.name] = before + sample.value
    return found


def _not_read(pool: Pool, problem: str) -> None:
    row, new = EndpointLoad.objects.get_or_create(pool=pool, defaults={"problem": problem})
    if not new and row.problem:
        return
    EndpointLoad.objects.filter(pk=pool.pk).update(problem=problem, capacity_units_micro=None, at=Now())
    operations.report("endpoint.unreadable", "warning", f"pool:{pool.pk}", {"problem": problem})
