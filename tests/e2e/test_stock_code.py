"""Every call for code of the stock client against a real worker, both its ways; its exceptions; its webhooks."""

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest

from tests.accounts.webhooks.receiver import receiving

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PROMPT = "def add(a, b):\n"
COMPLETION = {"model": "pocket-code", "prompt": PROMPT, "max_tokens": 24, "seed": 1}
CHAT = {
    "model": "pocket-code",
    "messages": [{"role": "system", "content": "Write Python."}, {"role": "user", "content": PROMPT}],
    "max_completion_tokens": 24,
    "seed": 1,
}
RESPONSE = {
    "model": "pocket-code",
    "input": PROMPT,
    "max_output_tokens": 24,
    "extra_body": {"seed": 1},
}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
OPENING = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
]
CLOSING = ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
WITHIN_S = 60


@pytest.fixture(scope="module")
def key(live):
    return live.api_key("pro-demo")


@pytest.fixture(scope="module")
def client(live, key):
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=key, timeout=120, max_retries=5) as made:
        yield made


def in_a_thread(story) -> None:
    """The browser of other tests keeps a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, story).result()


def whole(events: list) -> None:
    """A response's events are all there, in order, and repeat the same text."""
    kinds = [event.type for event in events]
    assert kinds[:4] == OPENING
    assert kinds[-4:-1] == CLOSING
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert kinds[-1] in ("response.completed", "response.incomplete")
    text = "".join(event.delta for event in events[4:-4])
    assert text == events[-4].text == events[-1].response.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_each_contract_says_the_same_plain_and_streamed(client):
    plain = client.completions.create(**COMPLETION)
    chunks = list(client.completions.create(**COMPLETION, **USAGE))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == plain.choices[0].text != ""
    assert chunks[-1].usage == plain.usage
    plain = client.chat.completions.create(**CHAT)
    chunks = list(client.chat.completions.create(**CHAT, **USAGE))
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == plain.choices[0].message.content != ""
    assert chunks[-1].usage == plain.usage
    with client.chat.completions.stream(**CHAT) as stream:
        assert "content.delta" in [event.type for event in stream]
    plain = client.responses.create(**RESPONSE)
    with client.responses.stream(**RESPONSE) as stream:
        events = list(stream)
    assert events[-1].response.status == plain.status
    assert events[-1].response.output_text == plain.output_text != ""
    whole(list(client.responses.create(**RESPONSE, stream=True)))


def test_a_response_is_kept_followed_stopped_and_deleted(client):
    queued = client.responses.create(**RESPONSE, background=True)
    assert (queued.status, queued.background) == ("queued", True)
    whole(list(client.responses.retrieve(queued.id, stream=True)))
    done = client.responses.retrieve(queued.id)
    assert done.status in ("completed", "incomplete")
    assert client.responses.cancel(done.id).status == done.status
    client.responses.delete(done.id)
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            call(done.id)


def test_an_answer_that_ends_early_parses_where_that_was_asked(client):
    asked = {"partial": "ast", "language": "python"}
    answer = client.completions.create(**COMPLETION | {"max_tokens": 5}, extra_body={"backlot": asked})
    if answer.choices[0].finish_reason == "length":
        assert answer.model_extra["backlot"]["partial"]["syntax"] == "ast"
    compile(PROMPT + (answer.choices[0].text or "    pass\n"), "answer", "exec")


def test_the_asynchronous_client_does_the_same(live, key):
    async def story() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{live.url}/v1", api_key=key, timeout=120, max_retries=5
        ) as client:
            plain, chat, response = await asyncio.gather(
                client.completions.create(**COMPLETION),
                client.chat.completions.create(**CHAT),
                client.responses.create(**RESPONSE),
            )
            chunks = [chunk async for chunk in await client.completions.create(**COMPLETION, **USAGE)]
            text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
            assert text == plain.choices[0].text
            chunks = [chunk async for chunk in await client.chat.completions.create(**CHAT, **USAGE)]
            said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
            assert said == chat.choices[0].message.content
            async with client.responses.stream(**RESPONSE) as stream:
                events = [event async for event in stream]
            assert events[-1].response.output_text == response.output_text
            assert {model.id async for model in client.models.list()} >= {"pocket-video", "pocket-code"}
            assert (await client.models.retrieve("pocket-code")).id == "pocket-code"
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("gpt-9")

    in_a_thread(story())


ERRORS = [
    (lambda c: c.completions.create(**COMPLETION | {"prompt": ""}), openai.BadRequestError, "prompt_empty"),
    (lambda c: c.chat.completions.create(**CHAT, n=2), openai.BadRequestError, "invalid_value"),
    (
        lambda c: c.responses.create(**RESPONSE | {"max_output_tokens": 10**6}),
        openai.BadRequestError,
        "context_length_exceeded",
    ),
    (
        lambda c: c.completions.create(**COMPLETION | {"seed": "x"}),
        openai.UnprocessableEntityError,
        "invalid_type",
    ),
    (lambda c: c.responses.retrieve(f"resp_{uuid.uuid4().hex}"), openai.NotFoundError, "not_found"),
    (lambda c: c.videos.retrieve(f"video_{uuid.uuid4().hex}"), openai.NotFoundError, "not_found"),
    (lambda c: c.videos.edit(prompt="x", video=b"film"), openai.InternalServerError, "not_implemented"),
    (lambda c: c.videos.create(prompt="x" * 13_000_000), openai.APIStatusError, "request_too_large"),
    (
        lambda c: c.with_options(api_key="bk_wrong").models.list(),
        openai.AuthenticationError,
        "invalid_api_key",
    ),
]


@pytest.mark.parametrize(("call", "kind", "code"), ERRORS, ids=[code for _, _, code in ERRORS])
def test_each_error_is_an_exception_of_its_own(client, call, kind, code):
    with pytest.raises(kind) as raised:
        call(client)
    assert raised.value.code == code
    assert raised.value.request_id.startswith("req_")


def test_a_key_that_may_only_read_is_denied(live):
    reads = live.manage("create_api_key", "--organization", "pro-demo", "--name", "reads", "--scopes", "read")
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=reads.strip(), timeout=120) as client:
        assert client.models.retrieve("pocket-code").id == "pocket-code"
        with pytest.raises(openai.PermissionDeniedError) as raised:
            client.completions.create(**COMPLETION)
    assert raised.value.code == "insufficient_scope"


def test_what_a_webhook_brings_is_unwrapped(live, client):
    scopes = ("--scopes", "read", "admin")
    owners = live.manage("create_api_key", "--organization", "pro-demo", "--name", "hooks", *scopes)
    headers = {"Authorization": f"Bearer {owners.strip()}"}
    with receiving() as receiver:
        fields = {
            "url": receiver.url,
            "event_types": ["completion.completed", "video.completed", "video.failed"],
        }
        made = httpx2.post(f"{live.url}/api/webhooks", json=fields, headers=headers)
        assert made.status_code in (200, 201), made.text
        try:
            answer = client.completions.create(**COMPLETION)
            video = client.videos.create(prompt="a red circle moving left over sand", model="pocket-video")
            assert client.videos.delete(video.id).deleted
            brought: set[str] = set()
            ends_at = time.monotonic() + WITHIN_S
            unwrapping = openai.OpenAI(api_key="none", webhook_secret=made.json()["signing_secret"])
            while not {answer.id, video.id} <= brought:
                assert time.monotonic() < ends_at, brought
                time.sleep(0.1)
                events = [unwrapping.webhooks.unwrap(body, sent) for _, sent, body in list(receiver.got)]
                brought = {event.data.id for event in events}
            _, sent, body = receiver.got[0]
            with pytest.raises(openai.InvalidWebhookSignatureError):
                unwrapping.webhooks.unwrap(body + b" ", sent)
        finally:
            httpx2.delete(f"{live.url}/api/webhooks/{made.json()['id']}", headers=headers)
