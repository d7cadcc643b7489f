"""The stock client pointed here: clips made, polled, listed, downloaded and deleted; its exceptions and its retries."""

import asyncio
import json
import time

import httpx2
import openai
import pytest
from django.db import connection

from generation import finalization
from generation.finalization import Ran
from generation.models import Job, State
from tests.generation.api_stage import CLIP, CODE, FILM, claimed, deliver, media_folder, tenant
from tests.generation.live import beside, serving, wait_for

__all__ = ["media_folder"]  # a fixture
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("media_folder", "clean_redis"),
    # The hosted original of these calls is gone; the client says so at every one.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture(scope="module")
def address():
    with serving() as found:
        yield found


@pytest.fixture
def plus(db):
    return tenant("plus")


@pytest.fixture
def requests():
    """Every request that the client sent, by method and path."""
    return []


@pytest.fixture
def connect(address, requests):
    """A stock client with somebody's key, which notes what it sends."""
    opened = []

    def make(raw: str, retries: int = 2) -> openai.OpenAI:
        note = {"request": [lambda request: requests.append((request.method, request.url.path))]}
        http = openai.DefaultHttpxClient(event_hooks=note)
        opened.append(
            openai.OpenAI(
                base_url=f"{address}/v1", api_key=raw, max_retries=retries, timeout=15, http_client=http
            )
        )
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def stock(connect, plus):
    return connect(plus.raw)


def make_the_next_clip() -> None:
    wait_for(lambda: Job.objects.filter(state=State.QUEUED).exists())
    deliver(Job.objects.get(state=State.QUEUED))


def test_a_clip_is_created_polled_and_downloaded(stock, plus, tmp_path):
    with beside(make_the_next_clip):
        video = stock.videos.create_and_poll(**CLIP)
    assert (video.status, video.progress, video.size, video.seconds) == ("completed", 100, "64x64", "2")
    assert video.model_extra["backlot"]["credentials"] == "Trusted"
    assert stock.videos.download_content(video.id).read() == FILM
    stock.videos.download_content(video.id, variant="video").write_to_file(tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").read_bytes() == FILM


async def test_the_asynchronous_client_does_the_same(address, plus):
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=plus.raw, timeout=15) as client:
        video = await client.videos.create(**CLIP)
        await asyncio.to_thread(_in_thread, make_the_next_clip)
        video = await client.videos.poll(video.id)
        assert video.status == "completed"
        assert (await client.videos.download_content(video.id)).content == FILM


def _in_thread(work) -> None:
    try:
        work()
    finally:
        connection.close()


def test_lists_are_walked_by_the_client_itself(stock):
    made = [stock.videos.create(**CLIP).id for _ in range(5)]
    assert [video.id for video in stock.videos.list(limit=2)] == made[::-1]
    assert [video.id for video in stock.videos.list(limit=3, order="asc")] == made
    page = stock.videos.list(limit=2)
    assert page.has_next_page()
    assert page.last_id == made[-2]


def test_deleting_gives_the_clients_own_object(stock):
    video = stock.videos.create(**CLIP)
    deleted = stock.videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    ended = stock.videos.poll(video.id)
    assert (ended.status, ended.error.code) == ("failed", "cancelled")


def test_models(stock):
    assert {model.id for model in stock.models.list()} == {"pocket-code", "pocket-video"}
    assert stock.models.retrieve("pocket-video").owned_by == "backlot"


def test_an_extra_field_and_an_idempotency_key_travel(stock):
    twice = [
        stock.videos.create(**CLIP, extra_body={"seed": 3}, extra_headers={"Idempotency-Key": "one"})
        for _ in range(2)
    ]
    assert twice[0].id == twice[1].id
    assert twice[0].model_extra["backlot"]["seed"] == 3
    with pytest.raises(openai.ConflictError) as raised:
        stock.videos.create(**CLIP, extra_body={"seed": 4}, extra_headers={"Idempotency-Key": "one"})
    assert raised.value.code == "idempotency_key_reused"


ERRORS = [
    (lambda c: c.videos.create(prompt=""), openai.BadRequestError, "prompt_empty"),
    (lambda c: c.videos.create(**{**CLIP, "model": "sora-2"}), openai.NotFoundError, "model_not_found"),
    (
        lambda c: c.completions.create(**{**CODE, "max_tokens": "x"}),
        openai.UnprocessableEntityError,
        "invalid_type",
    ),
    (lambda c: c.videos.retrieve("video_" + "0" * 32), openai.NotFoundError, "not_found"),
    (
        lambda c: c.completions.create(**{**CODE, "max_tokens": 999}),
        openai.BadRequestError,
        "context_length_exceeded",
    ),
    (lambda c: c.videos.remix("video_" + "0" * 32, prompt="x"), openai.NotFoundError, "not_found"),
    (
        lambda c: c.videos.edit(prompt="x", video=b"film"),
        openai.InternalServerError,
        "not_implemented",
    ),
    (lambda c: c.videos.create(prompt="x" * 13_000_000), openai.APIStatusError, "request_too_large"),
]


@pytest.mark.parametrize(("call", "kind", "code"), ERRORS, ids=[code for _, _, code in ERRORS])
def test_each_error_is_the_clients_own_exception_and_is_sent_once(stock, requests, call, kind, code):
    with pytest.raises(kind) as raised:
        call(stock)
    assert raised.value.code == code
    assert raised.value.request_id.startswith("req_")
    assert len(requests) == 1
    assert not Job.objects.exists()


def test_a_wrong_key(connect, requests):
    with pytest.raises(openai.AuthenticationError) as raised:
        connect("bk_" + "x" * 43).videos.create(**CLIP)
    assert raised.value.code == "invalid_api_key"
    assert len(requests) == 1


def test_another_tenants_clip(stock, connect):
    video = stock.videos.create(**CLIP)
    with pytest.raises(openai.NotFoundError):
        connect(tenant("pro").raw).videos.retrieve(video.id)


def test_no_credit_is_not_retried(connect, requests):
    with pytest.raises(openai.RateLimitError) as raised:
        connect(tenant("enterprise", credit=0).raw).videos.create(**CLIP)
    assert raised.value.code == "credit_balance_exhausted"
    assert len(requests) == 1


def test_a_limit_that_passes_is_retried_when_the_server_says(connect, requests):
    free = tenant("free")
    client = connect(free.raw, retries=0)
    for _ in range(10):
        client.videos.create(**CLIP)
    with pytest.raises(openai.RateLimitError) as raised:
        client.videos.create(**CLIP)
    assert raised.value.code in ("rate_limit_exceeded", "concurrency_limit_exceeded")
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 120
    assert "x-should-retry" not in raised.value.response.headers


def test_content_that_is_not_ready_is_not_asked_for_again_by_itself(stock, requests):
    video = stock.videos.create(**CLIP)
    requests.clear()
    with pytest.raises(openai.ConflictError) as raised:
        stock.videos.download_content(video.id)
    assert raised.value.code == "not_ready"
    assert len(requests) == 1


def test_10_megabytes_are_refused_at_once(address, plus):
    body = json.dumps({"prompt": "x" * 10_000_000}).encode()
    headers = {**plus.auth, "Content-Type": "application/json"}
    started = time.monotonic()
    response = httpx2.post(f"{address}/v1/videos", content=body, headers=headers)
    took = time.monotonic() - started
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert took < 1.0


def test_10_megabytes_without_a_length_are_cut_off(address, plus):
    def endless():
        for _ in range(160):
            yield b"x" * 65_536

    headers = {**plus.auth, "Content-Type": "application/json"}
    response = httpx2.post(f"{address}/v1/videos", content=endless(), headers=headers)
    assert response.json()["error"]["code"] == "request_too_large"
    assert not Job.objects.exists()


def test_a_large_file_is_read_in_ranges_through_a_socket(stock, address, plus):
    film = bytes(range(256)) * 8_000
    video = stock.videos.create(**CLIP)
    deliver(Job.objects.get(), film)
    link = httpx2.get(f"{address}/v1/videos/{video.id}/content", headers=plus.auth).headers["location"]
    assert httpx2.get(address + link).content == film
    part = httpx2.get(address + link, headers={"Range": "bytes=1000000-1999999"})
    assert (part.status_code, part.content) == (206, film[1_000_000:2_000_000])
    with httpx2.stream("GET", address + link) as left_early:
        next(left_early.iter_raw())
    assert httpx2.get(address + link, headers={"Range": "bytes=-3"}).content == film[-3:]


def test_a_jobs_story_and_its_stream(stock, address, plus):
    video = stock.videos.create(**CLIP)
    shown = httpx2.get(f"{address}/api/jobs/{video.id}", headers=plus.auth).json()
    assert [event["to_state"] for event in shown["events"]] == ["queued"]
    assert (shown["attempts"], shown["state"], shown["queue_position"]) == ([], "queued", 1)
    deliver(Job.objects.get())
    shown = httpx2.get(f"{address}/api/jobs/{Job.objects.get().pk}", headers=plus.auth).json()
    assert [event["to_state"] for event in shown["events"]] == ["queued", "running", "finishing", "delivered"]
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["delivered"]
    assert (shown["charge_micro"], shown["error"]) == (shown["quote_micro"], None)
    stream = httpx2.get(f"{address}/api/jobs/{video.id}/stream", headers=plus.auth).text
    assert stream.startswith("event: state\n")
    assert stream.rstrip().endswith('data: {"kind": "end"}')


def test_a_waiting_job_is_cancelled_through_the_other_face(stock, address, plus):
    video = stock.videos.create(**CLIP)
    shown = httpx2.post(f"{address}/api/jobs/{video.id}/cancel", headers=plus.auth).json()
    assert (shown["state"], shown["charge_micro"], shown["error"]["code"]) == ("cancelled", 0, "cancelled")


def test_a_quote_is_what_the_clip_then_costs(stock, address, plus):
    quote = httpx2.post(f"{address}/api/quotes", json=CLIP, headers=plus.auth).json()
    assert not Job.objects.exists()
    video = stock.videos.create(**CLIP)
    backlot = video.model_extra["backlot"]
    assert (quote["quote_micro"], quote["units"]) == (backlot["quote_micro"], backlot["units"])
    assert quote["allowed"] is True
    assert quote["spec"]["steps"] == backlot["steps"] == 50


def test_a_clip_under_way_is_not_deleted_once_it_is_being_signed(stock):
    video = stock.videos.create(**CLIP)
    _, lease = claimed()
    finalization.begin_finishing(lease, Ran(steps=50))
    with pytest.raises(openai.ConflictError) as raised:
        stock.videos.delete(video.id)
    assert raised.value.code == "not_ready"
