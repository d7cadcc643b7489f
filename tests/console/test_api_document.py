"""The OpenAPI document: every operation with examples that fit, all errors it can answer, all headers it takes."""

import re

import jsonschema_rs
import pytest

from accounts.errors import TABLE
from console.api import api
from console.openapi import answers, examples, reading
from console.openapi.document import REASONS

# POSTs that make nothing that is still there afterwards, or that can be repeated as they are.
MAKE_NOTHING = {
    "jobs_quote",
    "jobs_cancel",
    "responses_cancel",
    "edit_clip",
    "make_character",
    "webhooks_resend_delivery",
}


@pytest.fixture(scope="module")
def document() -> dict:
    return dict(api.get_openapi_schema())


@pytest.fixture(scope="module")
def found(document) -> list[tuple[str, str, dict]]:
    return [
        (method, path, one) for path, methods in document["paths"].items() for method, one in methods.items()
    ]


def complaints(document: dict, schema: dict, value: object) -> list[str]:
    whole = {**schema, "components": document["components"]}
    return [error.message for error in jsonschema_rs.validator_for(whole).iter_errors(value)]


def test_operations_have_names_of_their_own_that_say_nothing_of_modules(found):
    names = [one["operationId"] for _, _, one in found]
    assert len(set(names)) == len(names) > 40
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert [one["operationId"] for _, _, one in found if not one["summary"] or not one["tags"]] == []


def test_every_answer_and_every_body_has_an_example_that_fits(document, found):
    lacking, wrong = [], []
    for _, _, one in found:
        contents = [
            (f"{one['operationId']} {status}", content)
            for status, answer in one["responses"].items()
            if int(status) < 300
            for content in answer.get("content", {}).values()
        ]
        body = one.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            contents.append((f"{one['operationId']} body", body))
        for name, content in contents:
            if "example" not in content:
                lacking.append(name)
            elif not isinstance(content["example"], str):
                wrong += [
                    f"{name}: {text}" for text in complaints(document, content["schema"], content["example"])
                ]
    assert lacking == []
    assert wrong == []


def test_no_example_is_left_of_an_operation_that_is_gone(found):
    assert set(examples._all()) - {one["operationId"] for _, _, one in found} == set()


def test_every_error_that_is_named_is_of_the_table_and_reads_like_one(document, found):
    for _, _, one in found:
        for status, answer in one["responses"].items():
            if int(status) < 400:
                continue
            content = answer["content"]["application/json"]
            assert answer["description"] == REASONS[int(status)]
            assert content["examples"]
            for code, reference in content["examples"].items():
                assert TABLE[code][0] == int(status)
                assert reference["$ref"].rsplit("/", 1)[1] == code
                shown = document["components"]["examples"][code]["value"]
                assert complaints(document, content["schema"], shown) == []
    assert set(answers.MESSAGES) <= set(TABLE)
    assert set(answers.ALSO) <= {one["operationId"] for _, _, one in found}


def test_every_post_that_creates_takes_an_idempotency_key(found):
    posts = {one["operationId"] for method, _, one in found if method == "post"}
    assert posts - MAKE_NOTHING == set(answers.CREATING)
    for _, _, one in found:
        takes = any(parameter["name"] == "Idempotency-Key" for parameter in one["parameters"])
        assert takes == (one["operationId"] in answers.CREATING)


def test_every_operation_names_its_scopes(found):
    scopes = {one["operationId"]: one["security"][0]["key"] for _, _, one in found}
    assert set().union(*scopes.values()) == {"read", "generate", "billing", "admin"}
    assert scopes["keys_create_key"] == ["admin"]
    assert scopes["billing_read_statement"] == ["read", "billing"]
    assert scopes["videos_create"] == ["generate"]


def test_every_read_of_json_has_a_validator(found):
    for method, _, one in found:
        if method == "get" and "application/json" in one["responses"].get(200, {}).get("content", {}):
            assert any(parameter["name"] == "If-None-Match" for parameter in one["parameters"])
            assert 304 in one["responses"]


# The pages made of it


def test_a_page_tells_a_call_as_it_can_be_sent(document):
    calls = {one.id: one for one in reading.operations(document)}
    made = calls["keys_create_key"]
    assert made.scopes == ["admin"]
    assert made.curl("http://here") == (
        "curl -X POST http://here/api/keys \\\n"
        '  -H "Authorization: Bearer $KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        """  -d '{"name": "laptop", "scopes": ["read", "generate"]}'"""
    )
    compile(made.python("http://here"), "example", "exec")
    kinds = {field.name: field.kind for field in made.body}
    assert kinds["scopes"] == 'list of "read", "generate", "billing", "admin"'
    assert [(one.name, one.required) for one in made.parameters] == [("Idempotency-Key", False)]
    assert {one.code for one in made.refusals} >= {
        "insufficient_scope",
        "idempotency_key_reused",
        "invalid_value",
    }
    read = calls["videos_retrieve"].curl("http://here")
    assert read.startswith(f"curl -X GET http://here/v1/videos/{examples.IDS['video_id']} ")


def test_every_example_in_python_is_python(document):
    for one in reading.operations(document):
        compile(one.python("http://here"), one.id, "exec")


@pytest.mark.django_db
def test_the_pages_need_no_sign_in_and_nothing_from_elsewhere(client):
    index = client.get("/docs/api/")
    assert index.status_code == 200
    links = set(re.findall(r'href="(/docs/api/[a-z]+/)"', index.content.decode()))
    assert len(links) >= 10
    for address in ["/docs/api/", *sorted(links)]:
        response = client.get(address)
        assert response.status_code == 200
        html = response.content.decode()
        assert re.findall(r'(?:src|<link[^>]*href)="(?:https?:)?//[^"]*"', html) == []
        assert len(response.content) < 200_000
    assert client.get("/docs/api/nothing/").status_code == 404
    assert client.post("/docs/api/").status_code == 405
