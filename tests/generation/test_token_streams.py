"""Readers of a token stream: every segment once, resumable, and the same after Redis was wiped."""

import pytest
from asgiref.sync import async_to_sync

from generation.models import Job, Pool, TokenSegment
from generation.streams import follow_tokens
from generation.worker import loop
from generation.worker.station import Station
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit_code

pytestmark = pytest.mark.django_db


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


async def collect(job: Job, after: int = 0) -> list:
    return [event async for event in follow_tokens(job.pk, after) if event is not None]


def test_a_reader_gets_every_segment_once_and_can_resume(committed, clean_redis):
    job = submit_code(tenant("plus"), max_tokens=40, seed=1)
    station = Station(Pool.objects.get(pk="code"), slots=1)
    loop.work(station)
    station.close()
    told = "".join(TokenSegment.objects.order_by("seq").values_list("text", flat=True))
    events = async_to_sync(collect)(job)
    assert "".join(event.text for event in events) == told
    assert events[-1].finish_reason in ("stop", "length")
    assert events[-1].usage["completion_tokens"] > 0
    later = async_to_sync(collect)(job, after=2)
    assert [event.seq for event in later] == [event.seq for event in events if event.seq > 2]
    clean_redis.flushall()
    assert async_to_sync(collect)(job) == events
