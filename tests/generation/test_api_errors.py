"""One shape of error: JSON under the API's roots, a plain page elsewhere, a request id on all, a traceback on none."""

import asyncio
import json
import logging

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

from accounts import keys
from accounts.errors import TABLE, ApiError
from console import urls
from console.edge import Edge
from tests.generation.api_stage import CLIP, counts, make_clip, tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def plus():
    return tenant("plus")


def error_of(response) -> dict:
    """The error, after checking that it has the one shape and the status of its code."""
    error = response.json()["error"]
    assert set(error) - {"decision_id"} == {"message", "type", "code", "param", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert (response.status_code, error["type"]) == TABLE[error["code"]][:2]
    assert error["message"]
    return error


def test_every_answer_has_a_request_id_of_its_own(client, plus):
    ids = {client.get("/v1/models", headers=plus.auth).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(request_id.startswith("req_") for request_id in ids)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    "address", ["/v1/nothing", "/api/nothing", "/v1", "/api/", "/v1/videos/", "/v1/videos/%00"]
)
def test_an_unknown_address_of_the_api_is_json(client, plus, settings, address, debug):
    settings.DEBUG = debug
    assert error_of(client.get(address, headers=plus.auth))["code"] == "not_found"


@pytest.mark.parametrize("debug", [True, False])
def test_an_unknown_page_is_plain(client, settings, debug):
    settings.DEBUG = debug
    response = client.get("/no/such/page")
    assert response.status_code == 404
    assert response.headers["x-request-id"] in response.content.decode()
    assert "Traceback" not in response.content.decode()
    assert "URLconf" not in response.content.decode()


@pytest.mark.parametrize(
    ("method", "address"), [("put", "/v1/videos"), ("patch", "/v1/models"), ("post", "/media/x")]
)
def test_a_wrong_method_is_json_and_says_what_is_allowed(client, plus, method, address):
    response = getattr(client, method)(address, headers=plus.auth)
    assert error_of(response)["code"] == "method_not_allowed"
    assert response.headers["Allow"]


@pytest.fixture
def broken_views():
    """Four addresses that fail, for the time of a test."""

    def fail(request):
        raise RuntimeError("a secret of the inside")

    def refuse(request):
        raise ApiError("over_tier_limit", "Too much.", param="size")

    def cut_off(request):
        raise OperationalError("consuming input failed: server closed the connection unexpectedly")

    added = [path("v1/fail", fail), path("fail", fail), path("refuse", refuse), path("v1/cut", cut_off)]
    urls.urlpatterns[:0] = added
    yield
    del urls.urlpatterns[: len(added)]


def test_a_connection_that_is_gone_says_to_send_the_request_again(broken_views):
    response = Client(raise_request_exception=False).get("/v1/cut")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert error_of(response)["code"] == "server_is_overloaded"


@pytest.mark.parametrize("debug", [True, False])
def test_an_unexpected_exception_is_logged_and_never_shown(plus, settings, broken_views, caplog, debug):
    settings.DEBUG = debug
    from django.urls import clear_url_caches

    clear_url_caches()
    client = Client(raise_request_exception=False)
    with caplog.at_level(logging.ERROR, logger="backlot.requests"):
        response = client.get("/v1/fail")
        page = client.get("/fail")
    assert error_of(response)["code"] == "internal_error"
    assert page.status_code == 500
    for shown in (response, page):
        assert b"secret" not in shown.content
        assert b"Traceback" not in shown.content
    logged = [record for record in caplog.records if record.name == "backlot.requests"]
    assert response.headers["x-request-id"] in logged[0].getMessage()
    assert "a secret of the inside" in str(logged[0].exc_info[1])


def test_a_pages_refusal_is_a_plain_page_with_its_status(broken_views):
    from django.urls import clear_url_caches

    clear_url_caches()
    response = Client().get("/refuse")
    assert response.status_code == 400
    assert "Too much." in response.content.decode()
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_host_that_is_not_ours_is_refused_plainly(client):
    response = client.get("/v1/models", headers={"host": "evil.example"})
    assert error_of(response)["code"] in ("malformed_body", "invalid_value")
    assert b"Traceback" not in response.content


# Who is asking


@pytest.mark.parametrize(
    "header", ["Bearer bk_" + "x" * 43, "Bearer nothing", "Bearer ", "Basic abc", "bk_naked"]
)
def test_a_wrong_key_is_401(client, header):
    error = error_of(client.get("/v1/models", headers={"Authorization": header}))
    assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")
    assert "bk_xxx" not in error["message"]


def test_no_key_and_no_session_is_401(client):
    assert error_of(client.get("/v1/videos"))["code"] == "invalid_api_key"
    assert (
        error_of(client.post("/v1/completions", {}, content_type="application/json"))["code"]
        == "invalid_api_key"
    )


def test_a_revoked_key_stops_at_once(client, plus):
    assert client.get("/v1/models", headers=plus.auth).status_code == 200
    keys.revoke(plus.key, plus.owner, "leaked")
    assert error_of(client.get("/v1/models", headers=plus.auth))["code"] == "invalid_api_key"


def test_scopes_are_kept(client, plus):
    _, reader = keys.create(plus.organization, "reader", ["read"], plus.owner)
    _, maker = keys.create(plus.organization, "maker", ["generate"], plus.owner)
    read, make = {"Authorization": f"Bearer {reader}"}, {"Authorization": f"Bearer {maker}"}
    before = counts(plus)
    assert client.get("/v1/videos", headers=read).status_code == 200
    assert error_of(client.post("/v1/videos", CLIP, headers=read))["code"] == "insufficient_scope"
    assert counts(plus) == before
    assert error_of(client.get("/v1/videos", headers=make))["code"] == "insufficient_scope"
    assert client.post("/v1/videos", CLIP, headers=make).status_code == 200


def test_a_session_reads_and_makes_with_the_csrf_token_only(plus):
    client = Client(enforce_csrf_checks=True)
    client.force_login(plus.owner)
    assert client.get("/v1/videos").status_code == 200
    before = counts(plus)
    assert error_of(client.post("/v1/videos", CLIP))["code"] == "csrf_failed"
    assert counts(plus) == before
    token = "a" * 32
    client.cookies["csrftoken"] = token
    assert client.post("/v1/videos", CLIP, headers={"X-CSRFToken": token}).status_code == 200
    assert client.post("/v1/videos", {**CLIP, "csrfmiddlewaretoken": token}).status_code == 200


def test_a_bad_key_is_not_saved_by_a_session(plus):
    client = Client()
    client.force_login(plus.owner)
    assert (
        error_of(client.get("/v1/videos", headers={"Authorization": "Bearer x"}))["code"] == "invalid_api_key"
    )


def test_every_id_of_another_tenant_is_not_found(client, plus):
    video, stranger = make_clip(client, plus), tenant("pro")
    decision = video["backlot"]["decision"]
    for address in (
        f"/api/jobs/{video['id']}",
        f"/api/jobs/{video['id']}/stream",
        f"/api/decisions/{decision}",
    ):
        assert error_of(client.get(address, headers=stranger.auth))["code"] == "not_found"
    refused = client.post(f"/api/jobs/{video['id']}/cancel", headers=stranger.auth)
    assert error_of(refused)["code"] == "not_found"
    assert client.get(f"/v1/videos/{video['id']}", headers=plus.auth).json()["status"] == "queued"


# Bodies that are too large


def test_a_declared_length_over_the_limit_is_refused_before_anything_else(client, settings):
    body = json.dumps({"prompt": "x" * 10_000_000})
    with CaptureQueriesContext(connection) as queries:
        response = client.post("/v1/videos", body, content_type="application/json")
    assert error_of(response)["code"] == "request_too_large"
    assert len(queries) == 0


async def asked(scope: dict, messages: list[dict]) -> tuple[list[dict], int]:
    """What Edge answers around an application that reads the whole body, and how many bytes that saw."""
    seen, sent = 0, []

    async def application(scope, receive, send):
        nonlocal seen
        while True:
            message = await receive()
            seen += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"read"})

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await asyncio.wait_for(Edge(application, limit=1_000)(scope, receive, send), 5)
    return sent, seen


def chunk(size: int, more: bool = True) -> dict:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


async def test_a_long_body_is_refused_by_its_header_without_being_read():
    scope = {"type": "http", "path": "/v1/videos", "headers": [(b"content-length", b"1001")]}
    sent, seen = await asked(scope, [chunk(500), chunk(501, more=False)])
    assert (sent[0]["status"], seen) == (413, 0)
    assert json.loads(sent[1]["body"])["error"]["code"] == "request_too_large"
    assert sent[-1] == {"type": "http.response.body", "body": b""}


async def test_a_body_without_a_length_is_cut_off_where_it_passes_the_limit():
    scope = {"type": "http", "path": "/v1/videos", "headers": []}
    sent, seen = await asked(scope, [chunk(600), chunk(600), chunk(600), chunk(600, more=False)])
    assert sent[0]["status"] == 413
    assert seen == 600


async def test_a_body_within_the_limit_passes():
    scope = {"type": "http", "path": "/v1/videos", "headers": [(b"content-length", b"1000")]}
    sent, seen = await asked(scope, [chunk(500), chunk(500, more=False)])
    assert (sent[0]["status"], seen) == (200, 1_000)


def test_the_openapi_document_names_both_faces(client):
    document = client.get("/api/openapi.json").json()
    assert {
        "/v1/videos",
        "/v1/videos/{video_id}/content",
        "/v1/completions",
        "/v1/models",
        "/api/quotes",
    } <= set(document["paths"])
    assert "/api/decisions/{decision_id}" in document["paths"]
