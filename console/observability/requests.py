"""Around every request: how long it took, by route; its trace; and a line in the log where those are for machines."""

import logging
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_only_middleware

from accounts import log_context, tracing
from console.observability.metrics import in_process
from console.requests import identity_of

logger = logging.getLogger("backlot.requests")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
API_ROOT = "^(?=v1/|api/)"  # console/urls.py tries the API's addresses first
UNKNOWN = "unmatched"


@sync_only_middleware
def observed(get_response):
    """Outermost, and synchronous as those inside it (console/requests.py says why)."""

    def observe(request: HttpRequest) -> HttpResponse:
        with log_context.about(request_id=identity_of(request)):
            if not tracing.on():
                return _measured(request, get_response)
            method = method_of(request)
            sent = request.headers.get("traceparent", "")
            with tracing.span(method, {"http.request.method": method}, tracing.SERVER, sent) as span:
                log_context.note(trace_id=tracing.trace_id(tracing.here()))
                response = _measured(request, get_response)
                _tell(span, request, response)
                return response

    return observe


def method_of(request: HttpRequest) -> str:
    return request.method if request.method in METHODS else "OTHER"


def route_of(request: HttpRequest) -> str:
    """The pattern of its address, never the address itself."""
    match = request.resolver_match
    return f"/{match.route.removeprefix(API_ROOT)}" if match and match.route is not None else UNKNOWN


def _measured(request: HttpRequest, get_response) -> HttpResponse:
    began = time.perf_counter()
    response = get_response(request)
    took_s = time.perf_counter() - began
    method, route = method_of(request), route_of(request)
    in_process.REQUESTS.labels(method, route, f"{response.status_code // 100}xx").observe(took_s)
    code = getattr(response, "error_code", None)
    if code:
        in_process.API_ERRORS.labels(code).inc()
    if settings.REQUEST_LOG:
        status = {
            "method": method,
            "route": route,
            "status": response.status_code,
            "ms": round(took_s * 1000, 1),
        }
        logger.info("answered", extra=status | ({"code": code} if code else {}))
    return response


def _tell(span: tracing.Span, request: HttpRequest, response: HttpResponse) -> None:
    route, status = route_of(request), response.status_code
    span.named(f"{method_of(request)} {route}")
    span.set(http__route=route, http__response__status_code=status, backlot__request_id=request.request_id)
    code = getattr(response, "error_code", None)
    if code:
        span.set(error__type=code)
    if status >= 500:
        span.failed(code or str(status))
