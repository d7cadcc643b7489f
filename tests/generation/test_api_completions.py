"""Completions through a real socket: plain, streamed, resumed, broken off, and left by their reader."""

import contextlib
import json
import socket
import time
import warnings

import httpx2
import openai
import pytest

from generation.models import Job, State
from tests.generation.api_stage import CODE, media_folder, tenant
from tests.generation.live import beside, break_off, finish, serving, take, wait_for, write

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "clean_redis")]


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
    """The stock client, which must not retry by itself here."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key=plus.raw, max_retries=0, timeout=15) as client:
        yield client


def fibonacci() -> None:
    lease = take()
    write(lease, "    return", " n", "\n")
    finish(lease)


def events(response) -> list[dict | str]:
    """(id, data) of every event of a stream that has ended."""
    found = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            data = fields["data"]
            found.append((fields.get("id"), data if data == "[DONE]" else json.loads(data)))
    return found


def test_a_plain_completion_comes_with_its_usage(stock):
    with beside(fibonacci):
        completion = stock.completions.create(**CODE)
    assert completion.choices[0].text == "    return n\n"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.model_dump(exclude_unset=True) == {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
    }
    job = Job.objects.get()
    assert (completion.id, completion.object, completion.model) == (
        job.public_id,
        "text_completion",
        "pocket-code",
    )


def test_a_stream_comes_in_pieces_with_usage_when_it_is_asked_for(stock):
    with beside(fibonacci):
        chunks = list(stock.completions.create(**CODE, stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].text for chunk in chunks if chunk.choices]
    assert "".join(texts) == "    return n\n"
    assert len(texts) == 4
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 10)


def test_a_stream_ends_with_done_and_numbers_its_events(address, plus):
    with beside(fibonacci):
        response = httpx2.post(f"{address}/v1/completions", json={**CODE, "stream": True}, headers=plus.auth)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-request-id"].startswith("req_")
    found = events(response)
    assert [number for number, _ in found] == ["1", "2", "3", "4", None]
    assert found[-1] == (None, "[DONE]")
    assert "usage" not in found[-2][1]


def test_text_arrives_before_the_end(stock):
    pieces = []

    def slowly():
        lease = take()
        write(lease, "first")
        wait_for(lambda: pieces)
        write(lease, "second")
        finish(lease)

    with beside(slowly):
        for chunk in stock.completions.create(**CODE, stream=True):
            pieces.append(chunk.choices[0].text)
    assert pieces == ["first", "second", ""]


def test_a_stream_is_resumed_behind_the_last_event_that_arrived(address, plus):
    with beside(fibonacci):
        first = httpx2.post(f"{address}/v1/completions", json={**CODE, "stream": True}, headers=plus.auth)
    completion = events(first)[0][1]["id"]
    follow = f"{address}/v1/completions/{completion}/stream"
    resumed = httpx2.get(follow, headers={**plus.auth, "Last-Event-ID": "2"})
    assert [data["choices"][0]["text"] for _, data in events(resumed)[:-1]] == ["\n", ""]
    assert events(resumed)[-1] == (None, "[DONE]")
    whole = httpx2.get(follow, headers=plus.auth, params={"include_usage": True})
    assert [number for number, _ in events(whole)] == ["1", "2", "3", "4", None, None]
    assert events(whole)[-2][1]["usage"]["total_tokens"] == 10
    past = httpx2.get(follow, headers={**plus.auth, "Last-Event-ID": "4"})
    assert events(past)[-1] == (None, "[DONE]")
    bad = httpx2.get(follow, headers={**plus.auth, "Last-Event-ID": "abc"})
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "Last-Event-ID")
    assert httpx2.get(follow, headers=tenant("pro").auth).status_code == 404


def test_a_stream_that_breaks_off_raises_in_the_stock_client_and_costs_nothing(stock):
    def breaking():
        lease = take()
        write(lease, "half a")
        break_off(lease)

    pieces = []

    def read():
        for chunk in stock.completions.create(**CODE, stream=True):
            pieces.append(chunk.choices[0].text)

    with beside(breaking), pytest.raises(openai.APIError, match="The model stopped answering") as raised:
        read()
    assert pieces == ["half a"]
    assert raised.value.code == "internal_error"
    assert Job.objects.get().charge_micro == 0


def test_a_plain_completion_that_fails_is_a_status_error(stock):
    with beside(lambda: break_off(take())), pytest.raises(openai.InternalServerError) as raised:
        stock.completions.create(**CODE)
    assert raised.value.body["code"] == "internal_error"


@contextlib.contextmanager
def reading(address, plus, **fields):
    """A raw connection that has sent a request; closing it is a client that went away."""
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({**CODE, **fields}).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {plus.raw}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def read_until(connection, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += connection.recv(65536)
    return seen


def test_a_reader_that_leaves_a_running_stream_cancels_it_within_a_second(address, plus):
    with reading(address, plus, stream=True) as connection:
        lease = take()
        write(lease, "first words")
        read_until(connection, b"first words")
        assert Job.objects.get().cancel_requested_at is None
    took = wait_for(lambda: Job.objects.get().cancel_requested_at)
    assert took < 1.0
    assert lease.renew(step=2).cancel is True


@pytest.mark.parametrize("stream", [True, False])
def test_a_reader_that_leaves_while_it_waits_cancels_for_nothing(address, plus, stream):
    with reading(address, plus, stream=stream) as connection:
        wait_for(lambda: Job.objects.exists())
        if stream:
            read_until(connection, b"still here")
        else:
            time.sleep(0.3)
    took = wait_for(lambda: Job.objects.get().state == State.CANCELLED)
    assert took < 1.0
    assert Job.objects.get().charge_micro == 0


def test_a_follower_that_leaves_cancels_nothing(address, plus):
    with reading(address, plus, stream=True) as owner:
        lease = take()
        write(lease, "a")
        read_until(owner, b'"a"')
        follow = f"{address}/v1/completions/{Job.objects.get().public_id}/stream"
        with httpx2.stream("GET", follow, headers=plus.auth) as follower:
            assert b'"a"' in next(follower.iter_raw())
        time.sleep(0.5)
        assert Job.objects.get().cancel_requested_at is None
        finish(lease)
        assert b"[DONE]" in read_until(owner, b"[DONE]")


def test_more_streams_than_pooled_connections_leave_room_for_others(address, plus, settings):
    """A stream that waits must not hold a connection of the pool."""
    room = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    with contextlib.ExitStack() as stack:
        for _ in range(room + 4):
            connection = stack.enter_context(reading(address, plus, stream=True))
            read_until(connection, b"\r\n\r\n")
        started = time.monotonic()
        assert httpx2.get(f"{address}/v1/models", headers=plus.auth, timeout=20).status_code == 200
        assert time.monotonic() - started < 3


def test_a_quote_for_code_holds_nothing(address, plus):
    quote = httpx2.post(f"{address}/api/quotes?kind=code", json=CODE, headers=plus.auth).json()
    assert quote["allowed"] is True
    assert quote["quote_micro"] > 0
    assert not Job.objects.exists()


warnings.filterwarnings("ignore", category=DeprecationWarning, module="openai")
