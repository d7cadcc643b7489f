"""GET /metrics, for Prometheus: with METRICS_TOKEN for whoever bears it, without for this machine alone.

`?of=installation` leaves out what this machine's processes count, `?of=processes` what the rows say. With several
machines the rows are scraped once, at any of them, and the processes at each.
"""

import hmac
import ipaddress

from django.conf import settings
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from accounts.errors import ApiError
from console.health import database_fault
from console.observability.metrics import catalog, counting, in_process, standing
from console.observability.metrics.collector import Installation
from generation import dispatch

# Of reading the rows; a scrape that is late is worth nothing.
MOST_MS = 8_000
PARTS = (catalog.ROWS, catalog.PROCESSES)
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Every metric as text; 404 for whoever may not see them."""
    if not allowed(request):
        raise Http404
    asked = request.GET.getlist("of") or list(PARTS)
    unknown = [part for part in asked if part not in PARTS]
    if unknown:
        raise ApiError("invalid_value", f"of={unknown[0]}: use {' or '.join(PARTS)}.", param="of")
    encode, kind = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry(asked)), content_type=kind, headers={"Cache-Control": "no-store"})


def registry(parts: list[str]) -> CollectorRegistry:
    """The collectors of these parts."""
    made = CollectorRegistry(auto_describe=False)
    if catalog.ROWS in parts:
        # auto_describe=False: registering reads nothing.
        made.register(Installation(_read))
    if catalog.PROCESSES in parts:
        in_process.collect_from(settings.METRICS_FOLDER, made)
    return made


def allowed(request: HttpRequest) -> bool:
    """By the token where one is set. Otherwise only from this machine, and not through a proxy on it."""
    if settings.METRICS_TOKEN:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(), settings.METRICS_TOKEN.encode()
        )
    if any(request.META.get(name) for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _read() -> tuple[counting.Counted, standing.Levels]:
    """Asked before the pool is: that waits longer for a database that has gone than a scrape lasts."""
    fault = database_fault()
    if fault:
        raise OperationalError(fault)
    with counting.within(MOST_MS):
        return counting.read(), standing.read(dispatch.clock())
