"""Bad input: each has an error of its own from the table, and nothing is queued, held, decided or charged."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from billing.models import Decision, Hold, RateRefusals, Wallet
from generation.models import Job
from safety.models import Rule
from tests.generation.api_stage import CLIP, CODE, counts, make_clip, tenant
from tests.generation.test_api_errors import error_of

pytestmark = pytest.mark.django_db
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8ffff3f0005fe02fe"
    "dccc59e70000000049454e44ae426082"
)


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.fixture
def refused(client, plus):
    """Post something, check that it was refused without a trace, and give the error."""

    def post(address, body, content_type="application/json", **headers):
        before = counts(plus)
        body = json.dumps(body) if isinstance(body, dict) and content_type == "application/json" else body
        kind = {} if content_type is None else {"content_type": content_type}
        response = client.post(address, body, **kind, headers={**plus.auth, **headers})
        assert counts(plus) == before
        return error_of(response)

    return post


CLIPS = [
    ({}, "missing_required_parameter", "prompt"),
    ({"prompt": ""}, "prompt_empty", "prompt"),
    ({"prompt": " \n\t "}, "prompt_empty", "prompt"),
    ({"prompt": "x" * 2_001}, "prompt_too_long", "prompt"),
    ({"prompt": "a\x00b"}, "prompt_control_characters", "prompt"),
    ({"prompt": "a\x1b[31mb"}, "prompt_control_characters", "prompt"),
    ({"prompt": 5}, "invalid_type", "prompt"),
    ({"prompt": None}, "missing_required_parameter", "prompt"),
    ({"prompt": ["a"]}, "invalid_type", "prompt"),
    ({"prompt": {"text": "a"}}, "invalid_type", "prompt"),
    ({"prompt": "half \ud800 pair"}, "invalid_value", "prompt"),
    ({**CLIP, "size": "3840x2160"}, "over_tier_limit", "size"),
    ({**CLIP, "size": "65x64"}, "unsupported_size", "size"),
    ({**CLIP, "size": "huge"}, "unsupported_size", "size"),
    ({**CLIP, "size": 64}, "unsupported_size", "size"),
    ({**CLIP, "seconds": 11}, "over_tier_limit", "seconds"),
    ({**CLIP, "seconds": 3}, "unsupported_seconds", "seconds"),
    ({**CLIP, "seconds": "2.5"}, "unsupported_seconds", "seconds"),
    ({**CLIP, "seconds": -2}, "unsupported_seconds", "seconds"),
    ({**CLIP, "seconds": True}, "unsupported_seconds", "seconds"),
    ({**CLIP, "seed": "abc"}, "invalid_type", "seed"),
    ({**CLIP, "seed": 10**400}, "invalid_value", "seed"),
    ({**CLIP, "model": "sora-2"}, "model_not_found", "model"),
    ({**CLIP, "model": "pocket-code"}, "model_not_found", "model"),
    ({**CLIP, "model": 5}, "invalid_type", "model"),
    ({**CLIP, "model": "a\x00b"}, "invalid_value", "model"),
    ({**CLIP, "loop": True}, "invalid_value", "loop"),
    ({**CLIP, "input_reference": {"file_id": "file_1"}}, "invalid_type", "input_reference"),
]
COMPLETIONS = [
    ({}, "missing_required_parameter", "prompt"),
    ({**CODE, "prompt": ""}, "prompt_empty", "prompt"),
    ({**CODE, "prompt": "a\x07b"}, "prompt_control_characters", "prompt"),
    ({**CODE, "prompt": 5}, "invalid_type", "prompt"),
    ({**CODE, "prompt": ["a", "b"]}, "invalid_type", "prompt"),
    ({**CODE, "prompt": "x = 1\n" * 500}, "context_length_exceeded", "prompt"),
    ({**CODE, "max_tokens": 100_000}, "context_length_exceeded", "prompt"),
    ({**CODE, "prompt": "x" * 64_001}, "prompt_too_long", "prompt"),
    ({**CODE, "max_tokens": 0}, "invalid_value", "max_tokens"),
    ({**CODE, "max_tokens": "many"}, "invalid_type", "max_tokens"),
    ({**CODE, "temperature": 3}, "invalid_value", "temperature"),
    ({**CODE, "temperature": "hot"}, "invalid_type", "temperature"),
    ({**CODE, "stop": ["a"] * 5}, "invalid_value", "stop"),
    ({**CODE, "stop": ["a\x00"]}, "invalid_value", "stop"),
    ({**CODE, "n": 2}, "invalid_value", "n"),
    ({**CODE, "stream": "yes"}, "invalid_type", "stream"),
    ({**CODE, "stream_options": 1}, "invalid_type", "stream_options"),
    ({**CODE, "guided_regex": ".*"}, "invalid_value", "guided_regex"),
    ({**CODE, "model": "pocket-video"}, "model_not_found", "model"),
]


@pytest.mark.parametrize(("body", "code", "param"), CLIPS, ids=lambda value: str(value)[:40])
def test_a_bad_clip_request(refused, body, code, param):
    error = refused("/v1/videos", body)
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize(("body", "code", "param"), COMPLETIONS, ids=lambda value: str(value)[:40])
def test_a_bad_completion_request(refused, body, code, param):
    error = refused("/v1/completions", body)
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize(
    ("body", "code", "param"), CLIPS[:4] + CLIPS[-6:-4], ids=lambda value: str(value)[:40]
)
def test_a_quote_refuses_the_same(refused, body, code, param):
    error = refused("/api/quotes", body)
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize("size_of", ["size", "seconds"])
def test_a_refused_size_or_length_says_what_is_possible(refused, size_of):
    message = refused("/v1/videos", {**CLIP, size_of: "7"})["message"]
    assert {"size": "64x64", "seconds": "2"}[size_of] in message


def test_a_bad_clip_request_as_a_form(refused):
    assert refused("/v1/videos", {"prompt": ""}, None)["code"] == "prompt_empty"
    assert refused("/v1/videos", {**CLIP, "seconds": "11"}, None)["code"] == "over_tier_limit"


def test_a_form_of_13_megabytes(refused):
    assert refused("/v1/videos", {"prompt": "x" * 13_000_000}, None)["code"] == "request_too_large"
    assert refused("/v1/completions", {"prompt": "x" * 10_000_000})["code"] == "request_too_large"


@pytest.mark.parametrize(
    "body", ["{", " ", "[1]", '"text"', '{"prompt": NaN}', "[" * 100_000, b"\xff\xfe", "1" * 5000]
)
def test_what_is_no_json_object(refused, body):
    assert refused("/v1/videos", body)["code"] == "malformed_body"
    assert refused("/v1/completions", body)["code"] == "malformed_body"


def test_what_is_nested_too_deeply(refused):
    stop: list = []
    for _ in range(50):
        stop = [stop]
    assert refused("/v1/completions", {**CODE, "stop": stop})["code"] == "invalid_value"


def test_a_form_that_can_not_be_read(refused):
    assert refused("/v1/videos", b"nothing", "multipart/form-data")["code"] == "malformed_body"
    many = {f"field{i}": "x" for i in range(2_000)}
    assert refused("/v1/videos", many, None)["code"] == "request_too_large"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "video/mp4"])
def test_another_content_type(refused, kind):
    assert refused("/v1/videos", json.dumps(CLIP), kind)["code"] == "unsupported_media_type"


def test_a_compressed_body(refused):
    error = refused("/v1/videos", CLIP, **{"Content-Encoding": "gzip"})
    assert error["code"] == "unsupported_media_type"


@pytest.mark.parametrize("content", [b"no image", b"", b"\x89PNG\r\n\x1a\n broken", b"%PDF-1.4"])
def test_a_file_that_is_no_image(refused, content):
    file = SimpleUploadedFile("photo.png", content, "image/png")
    error = refused("/v1/videos", {**CLIP, "input_reference": file}, None)
    assert (error["code"], error["param"]) == ("invalid_image", "input_reference")


def test_an_image_is_understood_and_not_offered_yet(refused):
    file = SimpleUploadedFile("photo.png", PNG, "image/png")
    assert refused("/v1/videos", {**CLIP, "input_reference": file}, None)["code"] == "not_implemented"


def test_a_file_where_text_belongs(refused):
    file = SimpleUploadedFile("prompt.txt", b"a red circle")
    error = refused("/v1/videos", {"prompt": file}, None)
    assert (error["code"], error["param"]) == ("invalid_type", "prompt")


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ümlaut", " leads"])
def test_an_idempotency_key_that_can_not_be_kept(refused, key):
    error = refused("/v1/videos", CLIP, **{"Idempotency-Key": key})
    assert (error["code"], error["param"]) == ("invalid_value", "Idempotency-Key")


def test_the_same_idempotency_key_makes_one_clip_and_refuses_another_body(client, plus):
    headers = {**plus.auth, "Idempotency-Key": "order 66"}
    first = client.post("/v1/videos", CLIP, headers=headers).json()
    after_first = counts(plus)
    again = client.post("/v1/videos", CLIP, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    other = client.post("/v1/videos", {**CLIP, "prompt": "A blue square"}, headers=headers)
    assert error_of(other)["code"] == "idempotency_key_reused"
    assert other.headers["x-should-retry"] == "false"
    assert counts(plus) == after_first


def test_idempotency_keys_of_two_tenants_do_not_meet(client, plus):
    pro = tenant("pro")
    key = {"Idempotency-Key": "1"}
    ids = {client.post("/v1/videos", CLIP, headers={**who.auth, **key}).json()["id"] for who in (plus, pro)}
    assert len(ids) == 2


@pytest.fixture
def xyzzy_is_refused():
    Rule.objects.create(
        pattern="xyzzy",
        category="violence",
        kinds=["clip", "code"],
        author="a test",
        reason="to refuse a word",
    )


BLOCKED = "say Xyzzy twice"


def test_a_prompt_refused_by_policy_names_the_category_and_not_the_rule(client, plus, xyzzy_is_refused):
    for address, body in (("/v1/videos", CLIP), ("/v1/completions", CODE)):
        before = counts(plus)
        response = client.post(
            address, {**body, "prompt": BLOCKED}, content_type="application/json", headers=plus.auth
        )
        error = error_of(response)
        assert (error["code"], error["param"]) == ("moderation_blocked", "prompt")
        assert response.headers["x-should-retry"] == "false"
        assert "violence" in error["message"]
        assert "xyzzy" not in error["message"].lower()
        # The decision is all that was written: nothing is queued, held or charged.
        assert counts(plus) == {**before, "Decision": before["Decision"] + 1}
        explained = client.get(f"/api/decisions/{error['decision_id']}", headers=plus.auth)
        decision = explained.json()
        assert (decision["allowed"], decision["code"]) == (False, "moderation_blocked")
        assert (decision["charge_micro"], decision["hold_state"]) == (None, None)
        assert [(one["layer"], one["outcome"]) for one in decision["layers"]][:2] == [
            ("text_filter", "refused"),
            ("requests_per_minute", "not_reached"),
        ]
        assert {one["taken"] for one in decision["layers"]} == {0}
        assert "xyzzy" not in explained.content.decode().lower()


def test_blocked_prompts_count_against_no_limit_and_a_flood_of_them_is_one_row_a_minute(
    client, plus, xyzzy_is_refused
):
    def blocked(address, body):
        return client.post(
            address, {**body, "prompt": BLOCKED}, content_type="application/json", headers=plus.auth
        ).json()["error"]["decision_id"]

    clips = {blocked("/v1/videos", CLIP) for _ in range(4)}
    code = {blocked("/v1/completions", CODE) for _ in range(2)}
    stored = Decision.objects.filter(organization=plus.organization)
    if stored.count() == 2:  # unless the minute ended meanwhile
        assert (len(clips), len(code)) == (1, 1)
        told = client.get(f"/api/decisions/{clips.pop()}", headers=plus.auth).json()
        assert told["refused_in_minute"] == 4
    rows = RateRefusals.objects.filter(organization=plus.organization, api_key=plus.key)
    assert sum(row.refused for row in rows) == 6
    assert {row.cause for row in rows} == {
        "moderation_blocked:clip:violence",
        "moderation_blocked:code:violence",
    }
    assert Wallet.objects.get(pk=plus.organization.pk).rate_tat is None
    make_clip(client, plus)
    first = Decision.objects.get(organization=plus.organization, allowed=True)
    rate = next(one for one in first.layers if one["layer"] == "requests_per_minute")
    assert (rate["used"], rate["outcome"]) == (0, "passed")


def test_a_balance_that_is_too_small_is_a_decision_to_read_and_nothing_else(client):
    poor = tenant("enterprise", credit=0)
    response = client.post("/v1/videos", CLIP, headers=poor.auth)
    error = error_of(response)
    assert (response.status_code, error["type"], error["code"]) == (
        429,
        "insufficient_quota",
        "credit_balance_exhausted",
    )
    assert response.headers["x-should-retry"] == "false"
    assert not Job.objects.filter(organization=poor.organization).exists()
    assert not Hold.objects.filter(organization=poor.organization).exists()
    decision = client.get(f"/api/decisions/{error['decision_id']}", headers=poor.auth).json()
    assert (decision["allowed"], decision["code"]) == (False, "credit_balance_exhausted")


def test_too_many_requests_say_when_to_come_back(client):
    free = tenant("free")
    for _ in range(9):
        make_clip(client, free)
    statuses = [client.post("/v1/videos", CLIP, headers=free.auth) for _ in range(2)]
    error = error_of(statuses[-1])
    assert error["code"] in ("rate_limit_exceeded", "concurrency_limit_exceeded")
    assert int(statuses[-1].headers["retry-after"]) >= 1
    if error["code"] == "rate_limit_exceeded":
        assert statuses[-1].headers["x-ratelimit-limit-requests"] == "10"
        assert statuses[-1].headers["x-ratelimit-remaining-requests"] == "0"
    assert "What would be allowed" in error["message"]
    assert "x-should-retry" not in statuses[-1].headers
    assert Job.objects.filter(organization=free.organization).count() == 10
    assert Decision.objects.filter(organization=free.organization, allowed=True).count() == 10
