"""The two faces of the API under one document: /v1 for the stock client, /api for what that contract has no place for.

Everything a client can be told goes through `accounts.errors.ApiError`; here is where it is caught and rendered.
"""

from functools import cached_property
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control, set_response_etag
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from accounts.api.bodies import json_body, require_storable
from accounts.api.keys import router as keys_router
from accounts.errors import ApiError
from accounts.identity import Caller, key_caller, session_caller
from accounts.webhooks.api import router as webhooks_router
from billing import read_limits
from billing.api import router as billing_router
from billing.customer_api import router as customer_router
from billing.payments.api import router as purchases_router
from billing.payments.api import webhook_router
from billing.promotions_api import router as promotions_router
from console.openapi.document import Document
from console.requests import from_status, render_error, report
from generation.api.catalog import measured_router
from generation.api.catalog import router as catalog_router
from generation.api.completions import router as completions_router
from generation.api.events import router as events_router
from generation.api.jobs import router as jobs_router
from generation.api.reports import router as reports_router
from generation.api.videos import router as videos_router

READS = ("GET", "HEAD")
NO_KEY = "Send an API key: Authorization: Bearer bk_…"
BAD_KEY = "This API key is wrong or was revoked. Keys are made on the keys page and shown once."


class KeyOrSession(AuthBase):
    """An API key in the Authorization header, or the session of a signed-in person on our own pages.

    A session's unsafe call needs the CSRF token, since a cookie is sent by whoever makes the browser call. GET and HEAD
    need a scope of `reads` ("read" unless told), everything else `writes` ("generate"). Sets `request.caller`.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, reads: str | tuple[str, ...] = "read", writes: str = "generate") -> None:
        super().__init__()
        self.reads, self.writes = (reads,) if isinstance(reads, str) else reads, (writes,)

    def __call__(self, request: HttpRequest) -> Caller:
        caller = self.authenticate(request)
        enough = self.reads if request.method in READS else self.writes
        if not caller.scopes.intersection(enough):
            caller.require(enough[0])
        if caller.api_key is not None and request.method in READS:
            read_limits.count(caller.organization.pk, caller.api_key.pk, timezone.now())
        request.caller = caller
        return caller

    def authenticate(self, request: HttpRequest) -> Caller:
        header = request.headers.get("Authorization")
        return _by_key(header) if header is not None else _by_session(request)


def _by_key(header: str) -> Caller:
    scheme, _, raw = header.partition(" ")
    if scheme.lower() != "bearer":
        raise ApiError("invalid_api_key", NO_KEY)
    caller = key_caller(raw.strip())
    if caller is None:
        raise ApiError("invalid_api_key", BAD_KEY)
    return caller


def _by_session(request: HttpRequest) -> Caller:
    caller = session_caller(request)
    if caller is None:
        raise ApiError("invalid_api_key", NO_KEY)
    if request.method not in READS and check_csrf(request) is not None:
        raise ApiError("csrf_failed", "Send the page's CSRF token in X-CSRFToken, or use an API key.")
    return caller


class StrictReader(Parser):
    """JSON bodies of calls that take nothing else, read as strictly as those of the calls that take forms too."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        return json_body(request)

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> dict[str, Any]:
        """What stands behind the `?`, without what no database takes."""
        found = super().parse_querydict(data, list_fields, request)
        require_storable(found)
        return found


class Api(NinjaAPI):
    """ninja's, with a validator on every answer to a read, and a document that tells all that can come back."""

    def create_response(self, request: HttpRequest, data: Any, **named: Any) -> HttpResponse:
        """An ETag on what was read; 304 where the client has it already (RFC 9110 § 13)."""
        response = super().create_response(request, data, **named)
        if request.method not in READS or response.status_code != 200:
            return response
        patch_cache_control(response, private=True, no_cache=True)
        set_response_etag(response)
        return get_conditional_response(request, etag=response["ETag"], response=response)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Such as `videos_create`: where a module lies is nobody's business outside."""
        subject = (operation.tags or ["root"])[0]
        return f"{subject}_{operation.view_func.__name__}".replace(" ", "_")

    def get_openapi_schema(self, **_: Any) -> Document:
        """Built once: it takes a second, and can't change while the process lives."""
        return self._document

    @cached_property
    def _document(self) -> Document:
        return Document(self, "")


api = Api(
    title="Backlot",
    description="The OpenAI contract for clips and completions (/v1); quotes, jobs, decisions, statements (/api).",
    urls_namespace="api",
    parser=StrictReader(),
    docs_url=None,  # the page that ninja brings loads its scripts from elsewhere; ours is console/openapi/page.py
    openapi_url="/api/openapi.json",
    auth=KeyOrSession(),
)
for _router in (videos_router, completions_router, catalog_router):
    api.add_router("/v1", _router)
api.add_router("/api", jobs_router)
api.add_router("/api", events_router)
api.add_router("/api", reports_router)
api.add_router("/api", keys_router, auth=KeyOrSession(reads="admin", writes="admin"))
api.add_router("/api", webhooks_router, auth=KeyOrSession(reads="admin", writes="admin"))
api.add_router("/api", measured_router)
api.add_router("/api", billing_router)
api.add_router("/api", customer_router, auth=KeyOrSession(reads=("read", "billing"), writes="billing"))
api.add_router("/api", promotions_router, auth=KeyOrSession(reads="billing", writes="billing"))
api.add_router("/api", purchases_router, auth=KeyOrSession(reads="billing", writes="billing"))
api.add_router("/api", webhook_router)


@api.exception_handler(ApiError)
def on_api_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    return render_error(request, error)


@api.exception_handler(AuthenticationError)
def on_no_authentication(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return render_error(request, ApiError("invalid_api_key", NO_KEY))


@api.exception_handler(ValidationError)
def on_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """The first complaint, by name: which field, and what is wrong with it."""
    first = error.errors[0]
    kind, param = first["type"], _field(first["loc"])
    if kind == "missing":
        code = "missing_required_parameter"
    elif kind.endswith(("_type", "_parsing")):
        code = "invalid_type"
    else:
        code = "invalid_value"
    return render_error(request, ApiError(code, f"`{param}`: {first['msg']}.", param=param))


def _field(place: tuple[str | int, ...]) -> str:
    """The name of a field as the client wrote it: `scopes.0`, without the place it came in."""
    names = place[2:] if place[0] == "body" and len(place) > 2 else place[1:]
    return ".".join(str(name) for name in names)[:80]


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """ninja's own refusals; around what our reader of bodies says, ninja puts one that says less."""
    cause = error.__cause__ or error.__context__
    return render_error(request, cause if isinstance(cause, ApiError) else from_status(error.status_code))


@api.exception_handler(Http404)
def on_not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return render_error(request, from_status(404))


@api.exception_handler(Exception)
def on_anything_else(request: HttpRequest, error: Exception) -> HttpResponse:
    report(request, error)
    return render_error(request, from_status(500))
