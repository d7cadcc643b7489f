"""Whatever is sent to the API: an error of the table, never a traceback, and nothing made or charged."""

import json

import pytest
from django.test import Client

from tests.generation.api_stage import CLIP, CODE, Tenant, counts, tenant
from tests.generation.test_api_errors import error_of

pytestmark = pytest.mark.django_db
BODIES = {
    "POST /v1/videos": CLIP,
    "POST /v1/completions": CODE,
    "POST /v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "POST /v1/responses": {"input": "x"},
    "POST /api/quotes": CLIP,
    "POST /api/reports": {"clip": "video_x", "category": "other"},
    "POST /api/keys": {"name": "x", "scopes": ["read"]},
    "PUT /api/budgets": {"scope": "organization", "amount_micro": 1},
    "POST /api/promotions/redeem": {"code": "X"},
    "POST /api/purchases": {"pack": "starter"},
    "POST /api/webhooks": {"url": "https://example.com/", "event_types": ["video.completed"]},
}
HOSTILE = {
    "no JSON": b"{",
    "empty": b"",
    "a list": b"[]",
    "a text": b'"x"',
    "bad UTF-8": b'{"prompt": "\xff\xfe"}',
    "UTF-16": '{"prompt": "x"}'.encode("utf-16"),
    "NaN": b'{"seed": NaN}',
    "an infinite number": b'{"seed": 1e999}',
    "a number of 5,000 digits": b'{"seed": ' + b"9" * 5_000 + b"}",
    "100,000 brackets": b'{"prompt": ' + b"[" * 100_000 + b"}",
    "nested 500 deep": b'{"prompt": ' + b"[" * 500 + b"]" * 500 + b"}",
    "a name twice": b'{"prompt": "a", "prompt": "b"}',
    "a surrogate": b'{"code": "\\ud800", "name": "\\ud800"}',
    "a NUL in a name": b'{"a\\u0000b": 1}',
    "a name that nobody knows": b'{"prompt": "x", "colour": "red"}',
}


@pytest.fixture
def plus() -> Tenant:
    return tenant("plus")


@pytest.fixture
def strict() -> Client:
    return Client(raise_request_exception=False)


def send(client: Client, call: str, body: bytes, plus: Tenant, kind: str = "application/json"):
    method, address = call.split()
    return getattr(client, method.lower())(address, body, content_type=kind, headers=plus.auth)


@pytest.mark.parametrize("call", BODIES)
def test_hostile_bodies_are_refused_by_the_table(strict, plus, call):
    before = counts(plus)
    for name, body in HOSTILE.items():
        response = send(strict, call, body, plus)
        assert response.status_code in (400, 404, 415, 422), (name, response.status_code)
        error = error_of(response)
        assert "Traceback" not in error["message"], name
    assert counts(plus) == before


@pytest.mark.parametrize("call", BODIES)
@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "", "application/json; charset=utf-16"])
def test_another_content_type_is_415_or_read_as_json_in_utf_8(strict, plus, call, kind):
    before = counts(plus)
    response = send(strict, call, b"<a/>", plus, kind)
    assert response.status_code in (400, 415)
    assert error_of(response)["code"] in ("unsupported_media_type", "malformed_body")
    assert counts(plus) == before


def test_what_is_sent_compressed_is_not_unpacked(strict, plus):
    for call in BODIES:
        method, address = call.split()
        headers = {**plus.auth, "Content-Encoding": "gzip"}
        response = getattr(strict, method.lower())(
            address, b"\x1f\x8b", content_type="application/json", headers=headers
        )
        assert error_of(response)["code"] == "unsupported_media_type"


def test_a_name_that_comes_twice_is_named(strict, plus):
    error = error_of(send(strict, "POST /v1/videos", HOSTILE["a name twice"], plus))
    assert (error["code"], "'prompt' twice" in error["message"]) == ("malformed_body", True)


READS = (
    "/api/jobs",
    "/api/keys",
    "/api/statement",
    "/api/usage",
    "/api/notices",
    "/api/invoices",
    "/api/purchases",
    "/v1/videos",
)
VALUES = (
    "%00",
    "%ff",
    "%ed%a0%80",
    "9" * 400,
    "-1",
    "0",
    "%2e%2e",
    "null",
    "true",
    "'",
    "%F0%9F%8E%AC",
    "1e9",
)
NAMES = (
    "limit",
    "after",
    "order",
    "kind",
    "state",
    "model",
    "from",
    "to",
    "api_key",
    "by",
    "grain",
    "range",
    "show",
)


@pytest.mark.parametrize("address", READS)
def test_no_query_breaks_a_read(strict, plus, address):
    for name in NAMES:
        for value in VALUES:
            response = strict.get(f"{address}?{name}={value}", headers=plus.auth)
            if response.status_code != 200:
                assert response.status_code in (400, 422), (address, name, value)
                error_of(response)


@pytest.mark.parametrize(
    "address",
    [
        "/v1/videos/{}",
        "/v1/videos/{}/content",
        "/v1/models/{}",
        "/v1/completions/{}/stream",
        "/v1/responses/{}",
        "/api/jobs/{}",
        "/api/jobs/{}/stream",
        "/api/decisions/{}",
        "/api/keys/{}",
        "/api/purchases/{}",
        "/api/webhooks/{}",
    ],
)
def test_no_id_breaks_a_read(strict, plus, address):
    for value in VALUES:
        response = strict.get(address.format(value), headers=plus.auth)
        assert response.status_code in (400, 404, 422), (address, value)
        error_of(response)


def test_every_method_of_every_address_is_answered_by_the_table(strict, plus):
    document = strict.get("/api/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in ("get", "post", "put", "patch", "delete", "options", "trace"):
            if method in methods:
                continue
            response = strict.generic(
                method.upper(), path.replace("{", "").replace("}", ""), headers=plus.auth
            )
            # A literal address may lie where another's id would: then it is not found or takes that method.
            if response.status_code == 405:
                assert error_of(response)["code"] == "method_not_allowed"
                assert response.headers["Allow"]
            else:
                assert response.status_code in (400, 404, 422), (method, path)
                error_of(response)


# What holds for every read


def test_a_read_is_answered_304_until_it_changes(client, plus):
    first = client.get("/api/keys", headers=plus.auth)
    tag = first.headers["ETag"]
    again = client.get("/api/keys", headers={**plus.auth, "If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert "private" in first.headers["Cache-Control"]
    client.post(
        "/api/keys",
        json.dumps({"name": "n", "scopes": ["read"]}),
        content_type="application/json",
        headers=plus.auth,
    )
    later = client.get("/api/keys", headers={**plus.auth, "If-None-Match": tag})
    assert (later.status_code, len(later.json()["data"])) == (200, 2)
    assert later.headers["ETag"] != tag


def test_a_refusal_and_a_write_have_no_validator(client, plus):
    assert "ETag" not in client.get("/api/jobs/nothing", headers=plus.auth).headers
    assert "ETag" not in client.post("/v1/videos", CLIP, headers=plus.auth).headers
