"""Asks the endpoints behind pools how full they are, and keeps the answer for claims and admissions."""

from datetime import timedelta
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from django.db.models import Sum
from django.db.models.functions import Now
from prometheus_client.parser import text_string_to_metric_families

from accounts import operations
from generation.models import EndpointLoad, LaneOrganization, ModelLoad, Pool
from generation.policy import endpoint

PATIENCE_S = 1.0
MOST_BYTES = 4_000_000
# Micro-units: one job at a time, whatever its size.
LEAST_CAPACITY = 1
# A worker may find out late that it was away, and say so after it is back.
BACK_FOR = timedelta(minutes=2)


def look() -> int:
    """Read every endpoint once; how many answered. One that doesn't is told of once, and no longer counts as full.

    While one can't be reached at all, one job at a time tries it; the others wait rather than fail. Once it answers,
    workers may load its models again.
    """
    return sum(_look(pool) for pool in Pool.objects.exclude(metrics_url=""))


def _look(pool: Pool) -> bool:
    try:
        seen = endpoint.load(samples(_read(pool.metrics_url)))
    except (URLError, OSError, ValueError, endpoint.Unreadable) as problem:
        _not_read(pool, f"{type(problem).__name__}: {problem}"[:500], away=_is_away(problem))
        return False
    _let_load_again(pool)
    lanes = LaneOrganization.objects.filter(lane__pool=pool, running__gt=0)
    running = lanes.aggregate(units=Sum("running_units_micro"))["units"] or 0
    values = {
        "running": seen.running,
        "waiting": seen.waiting,
        "cache_share": seen.cache_share,
        "capacity_units_micro": endpoint.capacity_micro(seen, running),
        "prefix_queries": seen.prefix_queries,
        "prefix_hits": seen.prefix_hits,
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


def _is_away(problem: Exception) -> bool:
    """Not reached at all. A slow answer or an odd one says only that its load isn't known."""
    return isinstance(problem, URLError) and not isinstance(problem, HTTPError)


def _not_read(pool: Pool, problem: str, *, away: bool) -> None:
    known = EndpointLoad.objects.filter(pk=pool.pk).values_list("problem", flat=True).first()
    values = {"problem": problem, "capacity_units_micro": None, "at": Now()}
    if away:
        values |= {"capacity_units_micro": LEAST_CAPACITY, "running": 0, "waiting": 0, "away_at": Now()}
    EndpointLoad.objects.update_or_create(pool=pool, defaults=values)
    if not known:
        kind = "endpoint.away" if away else "endpoint.unreadable"
        operations.report(kind, "error" if away else "warning", f"pool:{pool.pk}", {"problem": problem})


def _let_load_again(pool: Pool) -> None:
    """It answers again: what workers could not load meanwhile was its absence, and admission may take jobs for it."""
    if EndpointLoad.objects.filter(pk=pool.pk, away_at__gt=Now() - BACK_FOR).exists():
        ModelLoad.objects.filter(model__pool=pool).exclude(problem="").delete()
