"""Views that aren't async are answered by a fixed set of threads, whole; async ones in the event loop."""

import asyncio
import io
import json
import threading
import time
from typing import ClassVar

import pytest
from django.core.signals import request_finished, request_started
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from console.handler import Handler


def here(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"thread": threading.current_thread().name, "body": request.body.decode()})


async def in_the_loop(request: HttpRequest) -> JsonResponse:
    asyncio.get_running_loop()
    return JsonResponse({"thread": threading.current_thread().name})


def slow(request: HttpRequest) -> JsonResponse:
    began = time.monotonic()
    time.sleep(0.1)
    return JsonResponse({"began": began, "ended": time.monotonic()})


class Kept(io.BytesIO):
    """A file that remembers that it was closed."""

    open_ones: ClassVar[set["Kept"]] = set()

    def close(self) -> None:
        self.open_ones.discard(self)
        super().close()


def a_file(request: HttpRequest) -> FileResponse:
    content = Kept(b"x" * 200_000)
    Kept.open_ones.add(content)
    return FileResponse(content)


def broken(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [
    path("here", here),
    path("async", in_the_loop),
    path("slow", slow),
    path("file", a_file),
    path("v1/broken", broken),
]


@pytest.fixture
def handler(settings) -> Handler:
    settings.ROOT_URLCONF = __name__
    return Handler(2)


async def asked(handler: Handler, where: str, body: bytes | None = b"") -> tuple[int, bytes]:
    """Status and content of an answer. A body of None never arrives: the client goes."""
    coming = {"type": "http.request", "body": body, "more_body": False}
    messages = [coming if body is not None else {"type": "http.disconnect"}]
    sent: list[dict] = []

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/{where}", "headers": [(b"host", b"localhost")]}
    scope["query_string"] = b""
    await handler(scope, receive, send)
    if not sent:
        return 0, b""
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def answer(handler: Handler, where: str, body: bytes | None = b"") -> tuple[int, bytes]:
    return asyncio.run(asked(handler, where, body))


def test_who_answers(handler):
    status, content = answer(handler, "here", b"words")
    assert status == 200
    assert b'"thread": "view' in content
    assert b'"body": "words"' in content
    status, content = answer(handler, "async")
    assert status == 200
    assert b"MainThread" in content


def test_no_more_at_once_than_there_are_threads_and_none_is_lost(handler):
    async def all_of_them() -> list:
        return await asyncio.gather(*(asked(handler, "slow") for _ in range(6)))

    answers = asyncio.run(all_of_them())
    spans = [json.loads(content) for _, content in answers]
    assert [status for status, _ in answers] == [200] * 6
    most = max(sum(one["began"] <= at["began"] < one["ended"] for one in spans) for at in spans)
    assert most == 2


@pytest.mark.parametrize(("where", "status"), [("v1/broken", 500), ("v1/nowhere", 404)])
def test_errors_are_plain(handler, where, status):
    found, content = answer(handler, where)
    assert found == status
    assert b'"error"' in content


def test_each_request_begins_and_ends_once_in_one_thread(handler):
    seen: list[tuple[str, str]] = []

    def began(**about):
        seen.append(("began", threading.current_thread().name))

    def ended(**about):
        seen.append(("ended", threading.current_thread().name))

    request_started.connect(began)
    request_finished.connect(ended)
    try:
        answer(handler, "here")
    finally:
        request_started.disconnect(began)
        request_finished.disconnect(ended)
    assert [what for what, _ in seen] == ["began", "ended"]
    assert seen[0][1] == seen[1][1]
    assert seen[0][1].startswith("view")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # Django's own way with files
def test_a_file_is_sent_whole_and_closed(handler):
    status, content = answer(handler, "file")
    assert (status, len(content)) == (200, 200_000)
    assert not Kept.open_ones


def test_a_client_that_goes_before_its_body_came_gets_no_answer(handler):
    assert answer(handler, "here", None) == (0, b"")
