"""Chat and responses through the stock client, synchronous and asynchronous: plain, streamed, followed, refused."""

import asyncio
import json

import httpx2
import openai
import pytest
from django.db import connection

from generation.models import Job, State, TokenSegment
from safety.models import Rule
from tests.generation.api_stage import CODE, counts, media_folder, tenant
from tests.generation.live import beside, break_off, finish, serving, take, wait_for, write

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "clean_redis")]

MESSAGES = [
    {"role": "system", "content": "Write Python."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "def fibonacci(n):"}, {"type": "text", "text": ""}],
    },
]
CHAT = {"model": "pocket-code", "messages": MESSAGES, "max_completion_tokens": 32}
RESPONSE = {"model": "pocket-code", "input": "def fibonacci(n):\n", "max_output_tokens": 32}
EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture
def plus(db):
    return tenant("plus")


@pytest.fixture(scope="module")
def address():
    with serving() as found:
        yield found


@pytest.fixture
def stock(address, plus):
    with openai.OpenAI(base_url=f"{address}/v1", api_key=plus.raw, max_retries=0, timeout=30) as client:
        yield client


def two_pieces(finish_reason: str = "stop") -> None:
    lease = take()
    write(lease, "    return", " n\n")
    finish(lease, finish_reason)


def test_a_plain_chat(stock):
    with beside(two_pieces):
        answer = stock.chat.completions.create(**CHAT)
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "    return n\n")
    assert (choice.finish_reason, answer.object, answer.usage.total_tokens) == ("stop", "chat.completion", 10)
    job = Job.objects.get()
    assert answer.id == job.public_id == f"chatcmpl-{job.id.hex}"
    assert job.prompt == "Write Python.\n\ndef fibonacci(n):\n"
    assert job.spec["turns"] == [["system", 13], ["user", 18]]


def test_a_streamed_chat_with_usage(stock):
    with beside(two_pieces):
        options = {"include_usage": True}
        chunks = list(stock.chat.completions.create(**CHAT, stream=True, stream_options=options))
    assert [chunk.choices[0].delta.content for chunk in chunks[:-1]] == ["    return", " n\n", None]
    assert [chunk.choices[0].delta.role for chunk in chunks[:-1]] == ["assistant", None, None]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 10)


def test_the_clients_chat_stream_helper(stock):
    with beside(two_pieces), stock.chat.completions.stream(**CHAT) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "    return n\n"
    assert kinds.count("content.delta") == 2
    assert "content.done" in kinds


def test_a_plain_response(stock):
    with beside(two_pieces):
        response = stock.responses.create(**RESPONSE, instructions="Write Python.", metadata={"a": "b"})
    assert (response.status, response.output_text) == ("completed", "    return n\n")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 3)
    assert (response.instructions, response.metadata) == ("Write Python.", {"a": "b"})
    assert response.id == Job.objects.get().public_id
    again = stock.responses.retrieve(response.id)
    assert (again.output_text, again.status) == (response.output_text, "completed")


def test_the_clients_response_stream_helper_gets_every_event(stock):
    with beside(two_pieces), stock.responses.stream(**RESPONSE) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.type for event in events] == EVENTS
    assert [event.sequence_number for event in events] == list(range(10))
    assert events[5].snapshot == "    return n\n"
    assert (final.output_text, final.status, final.usage.total_tokens) == ("    return n\n", "completed", 10)


def test_a_response_that_reached_its_most_tokens_is_incomplete(stock):
    with beside(lambda: two_pieces("length")):
        events = list(stock.responses.create(**RESPONSE, stream=True))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    assert stock.responses.retrieve(events[-1].response.id).status == "incomplete"


def test_a_response_is_followed_behind_any_event(stock, address, plus):
    with beside(two_pieces):
        whole = list(stock.responses.create(**RESPONSE, stream=True))
    for told in (0, 2, 3, 4, 5):
        rest = stock.responses.retrieve(whole[0].response.id, stream=True, starting_after=told)
        assert [event.type for event in rest] == EVENTS[told + 1 :]
    headers = {**plus.auth, "Last-Event-ID": "4"}
    link = f"{address}/v1/responses/{whole[0].response.id}?stream=true"
    ids = [line for line in httpx2.get(link, headers=headers).text.splitlines() if line.startswith("id:")]
    assert ids == [f"id: {number}" for number in range(5, 10)]
    for query in ("", "?stream=true"):
        bad = httpx2.get(link.partition("?")[0] + query, headers={**plus.auth, "Last-Event-ID": "^"})
        assert (bad.status_code, bad.json()["error"]["param"]) == (400, "Last-Event-ID")


def test_a_background_response_is_read_when_it_is_done(stock):
    queued = stock.responses.create(**RESPONSE, background=True)
    assert (queued.status, queued.output) == ("queued", [])
    lease = take()
    write(lease, "half")
    assert stock.responses.retrieve(queued.id).status == "in_progress"
    finish(lease)
    done = stock.responses.retrieve(queued.id)
    assert (done.status, done.output_text) == ("completed", "half")


def test_a_response_is_cancelled_and_deleted(stock):
    queued = stock.responses.create(**RESPONSE, background=True)
    assert stock.responses.cancel(queued.id).status == "cancelled"
    assert Job.objects.get().state == State.CANCELLED
    stock.responses.delete(queued.id)
    with pytest.raises(openai.NotFoundError):
        stock.responses.retrieve(queued.id)


def test_deleting_a_response_deletes_its_text(stock):
    with beside(two_pieces):
        response = stock.responses.create(**RESPONSE)
    stock.responses.delete(response.id)
    assert not TokenSegment.objects.exists()
    assert Job.objects.get().charge_micro > 0


def test_what_is_not_stored_is_not_read_later(stock):
    with beside(two_pieces):
        response = stock.responses.create(**RESPONSE, store=False)
    with pytest.raises(openai.NotFoundError):
        stock.responses.retrieve(response.id)


def test_ids_of_one_contract_are_not_found_in_another(stock, address, plus):
    with beside(two_pieces):
        chat = stock.chat.completions.create(**CHAT)
    with pytest.raises(openai.NotFoundError):
        stock.responses.retrieve(chat.id.replace("chatcmpl-", "resp_"))
    other = {"headers": tenant("pro").auth}
    assert httpx2.get(f"{address}/v1/chat/completions/{chat.id}/stream", **other).status_code == 404
    own = httpx2.get(f"{address}/v1/chat/completions/{chat.id}/stream", headers=plus.auth)
    assert own.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("call", ["chat", "responses"])
def test_a_stream_that_breaks_off_raises_and_costs_nothing(stock, call):
    def breaking():
        lease = take()
        write(lease, "half a")
        break_off(lease)

    def read():
        stream = (
            stock.chat.completions.create(**CHAT, stream=True)
            if call == "chat"
            else stock.responses.create(**RESPONSE, stream=True)
        )
        list(stream)

    with beside(breaking), pytest.raises(openai.APIError, match="The model stopped answering") as raised:
        read()
    assert raised.value.code == "internal_error"
    assert Job.objects.get().charge_micro == 0


async def test_the_asynchronous_client(address, plus):
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=plus.raw, timeout=30) as client:
        working = asyncio.create_task(asyncio.to_thread(_closed, two_pieces))
        async with client.responses.stream(**RESPONSE) as stream:
            assert [event.type async for event in stream] == EVENTS
        await working
        working = asyncio.create_task(asyncio.to_thread(_closed, two_pieces))
        chunks = [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "    return n\n"
        await working
        working = asyncio.create_task(asyncio.to_thread(_closed, two_pieces))
        completion = await client.completions.create(**CODE)
        assert completion.choices[0].text == "    return n\n"
        await working


def _closed(work) -> None:
    try:
        work()
    finally:
        connection.close()


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
REFUSED = [
    ("chat", {"n": 2}, openai.BadRequestError, "invalid_value", "n"),
    ("chat", {"logprobs": True}, openai.BadRequestError, "invalid_value", "logprobs"),
    ("chat", {"tools": [TOOL]}, openai.BadRequestError, "invalid_value", "tools"),
    ("chat", {"frequency_penalty": 0.5}, openai.BadRequestError, "invalid_value", "frequency_penalty"),
    ("chat", {"max_completion_tokens": 999}, openai.BadRequestError, "context_length_exceeded", "messages"),
    ("chat", {"messages": []}, openai.BadRequestError, "prompt_empty", "messages"),
    (
        "chat",
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        openai.BadRequestError,
        "invalid_value",
        "messages[0].role",
    ),
    (
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        openai.BadRequestError,
        "invalid_value",
        "messages[0].content[0]",
    ),
    ("chat", {"messages": "hello"}, openai.UnprocessableEntityError, "invalid_type", "messages"),
    ("chat", {"model": "gpt-9"}, openai.NotFoundError, "model_not_found", "model"),
    ("chat", {"temperature": 3}, openai.BadRequestError, "invalid_value", "temperature"),
    ("chat", {"stop": [""]}, openai.UnprocessableEntityError, "invalid_type", "stop"),
    ("responses", {"previous_response_id": "resp_x"}, openai.BadRequestError, "invalid_value", None),
    ("responses", {"tools": [{"type": "web_search"}]}, openai.BadRequestError, "invalid_value", "tools"),
    ("responses", {"truncation": "auto"}, openai.BadRequestError, "invalid_value", "truncation"),
    ("responses", {"max_output_tokens": 999}, openai.BadRequestError, "context_length_exceeded", "input"),
    ("responses", {"input": "x" * 64_001}, openai.BadRequestError, "prompt_too_long", "input"),
    ("responses", {"input": "x y " * 15_000}, openai.BadRequestError, "context_length_exceeded", "input"),
    ("responses", {"background": True, "store": False}, openai.BadRequestError, "invalid_value", "store"),
    ("completions", {"logprobs": 3}, openai.BadRequestError, "invalid_value", "logprobs"),
    ("completions", {"n": 2}, openai.BadRequestError, "invalid_value", "n"),
    (
        "completions",
        {"extra_body": {"backlot": {"partial": "x"}}},
        openai.BadRequestError,
        "invalid_value",
        None,
    ),
    ("completions", {"extra_body": {"backlot": {"other": 1}}}, openai.BadRequestError, "invalid_value", None),
    ("completions", {"extra_body": {"guided_regex": "a"}}, openai.BadRequestError, "invalid_value", None),
]


@pytest.mark.parametrize(("call", "fields", "kind", "code", "param"), REFUSED)
def test_what_can_not_be_done_is_refused_by_name(stock, plus, call, fields, kind, code, param):
    calls = {
        "chat": (stock.chat.completions, CHAT),
        "responses": (stock.responses, RESPONSE),
        "completions": (stock.completions, CODE),
    }
    method, usual = calls[call]
    before = counts(plus)
    with pytest.raises(kind) as raised:
        method.create(**{**usual, **fields})
    assert raised.value.code == code
    if param:
        assert raised.value.param == param
    assert raised.value.request_id.startswith("req_")
    assert counts(plus) == before


def test_other_refusals_of_the_key_and_the_wallet(stock, address):
    with pytest.raises(openai.AuthenticationError):
        stock.with_options(api_key="bk_" + "x" * 43).chat.completions.create(**CHAT)
    broke = tenant("enterprise", credit=0)
    with pytest.raises(openai.RateLimitError) as raised:
        stock.with_options(api_key=broke.raw).responses.create(**RESPONSE)
    assert raised.value.code == "credit_balance_exhausted"
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_an_idempotency_key_is_kept_apart_by_contract(stock):
    key = {"extra_headers": {"Idempotency-Key": "one"}}
    first = stock.responses.create(**RESPONSE, background=True, **key)
    assert stock.responses.create(**RESPONSE, background=True, **key).id == first.id
    with pytest.raises(openai.ConflictError):
        stock.chat.completions.create(**CHAT, **key)


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_every_role_is_screened(stock, plus, role):
    Rule.objects.create(
        pattern="xyzzy", category="violence", kinds=["code"], author="a test", reason="to refuse a word"
    )
    others = [{"role": "user", "content": "def f(x):"}] if role != "user" else []
    said = {"role": role, "content": [{"type": "text", "text": "say Xyzzy twice"}]}
    before = counts(plus)
    with pytest.raises(openai.BadRequestError) as raised:
        stock.chat.completions.create(model="pocket-code", messages=[said, *others])
    assert (raised.value.code, raised.value.param) == ("moderation_blocked", "messages")
    assert counts(plus) == {**before, "Decision": before["Decision"] + 1}


def test_a_partial_answer_is_cut_to_where_it_parses(stock):
    def early():
        lease = take()
        write(lease, "    return 1\n", "    x = (")
        finish(lease, "length")

    asked = {"extra_body": {"backlot": {"partial": "ast"}}}
    with beside(early):
        answer = stock.completions.create(**{**CODE, "prompt": "def f():\n"}, **asked)
    assert answer.choices[0].text == "    return 1\n"
    told = {"syntax": "ast", "language": "python", "keep": 13, "close": "", "closed": False, "parses": True}
    assert answer.model_extra["backlot"]["partial"] == told
    with beside(early):
        chunks = list(stock.completions.create(**{**CODE, "prompt": "def f():\n"}, **asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "    return 1\n    x = ("
    assert chunks[-1].model_extra["backlot"]["partial"] == told


def test_streams_of_one_key_are_limited(address, plus, settings):
    settings.STREAMS_PER_KEY = 1
    with httpx2.stream(
        "POST", f"{address}/v1/completions", json={**CODE, "stream": True}, headers=plus.auth
    ) as one:
        assert one.status_code == 200
        before = counts(plus)
        answer = httpx2.post(
            f"{address}/v1/chat/completions", json={**CHAT, "stream": True}, headers=plus.auth
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "concurrency_limit_exceeded")
        assert int(answer.headers["retry-after"]) > 0
        assert counts(plus) == before
    wait_for(lambda: Job.objects.filter(state=State.CANCELLED).exists())

    def free() -> bool:
        with httpx2.stream(
            "POST", f"{address}/v1/completions", json={**CODE, "stream": True}, headers=plus.auth
        ) as again:
            return again.status_code == 200

    wait_for(free)


def test_background_work_outlives_its_reader(address, plus):
    asked = json.dumps({**CHAT, "stream": True, "backlot": {"background": True}})
    headers = {**plus.auth, "Content-Type": "application/json"}
    with httpx2.stream("POST", f"{address}/v1/chat/completions", content=asked, headers=headers):
        lease = take()
        write(lease, "half")
    job = Job.objects.get()
    finish(lease)
    job.refresh_from_db()
    assert (job.state, job.cancel_requested_at) == (State.DELIVERED, None)
