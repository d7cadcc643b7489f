"""The stream of an answer: every run of tokens once, and again from any of them."""

import json
import re

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from generation.models import Job
from tests.committed import committed
from tests.console.people import code, person
from tests.console.test_pages_code import PIECES, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def _django_db_helper(django_db_setup, django_db_blocker):
    """Streams are read on connections of their own, so what they read has to be committed."""
    with committed(django_db_blocker):
        yield


def read_events(caller, job: Job, last: str | None = None) -> list[tuple[str, object]]:
    """The events of a completion as (name, decoded data)."""

    async def read() -> str:
        reader = AsyncClient()
        await reader.aforce_login(caller.user)
        headers = {"Last-Event-ID": last} if last else {}
        response = await reader.get(f"/code/{job.public_id}/events", headers=headers)
        assert response.status_code == 200
        return "".join([part.decode() async for part in response.streaming_content])

    return [(n, json.loads(d)) for n, d in re.findall(r"event: (\w+)\ndata: (.*)\n", async_to_sync(read)())]


def test_the_stream_gives_every_run_once_and_resumes_after_the_last_one_seen():
    _, caller = person()
    job = written(code(caller))
    whole = read_events(caller, job)
    assert [data for name, data in whole if name == "text"] == PIECES
    assert whole[-1] == ("end", {"error": None, "finish_reason": "stop"})
    assert [data for name, data in read_events(caller, job, "2") if name == "text"] == PIECES[2:]
