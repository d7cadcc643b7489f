"""Tickets that come twice, never or too late: each is only a hint, so nothing is done twice and nothing left undone."""

import time

import pytest
import redis

from tests.faults import outages
from tests.faults.conftest import PATIENCE_S, Service

pytestmark = pytest.mark.faults

DRAIN = "UPDATE generation_worker SET desired = %s WHERE pool_id = 'clips' AND stopped_at IS NULL"
MORE = 50  # before and as many after


def submit(service: Service, count: int, word: str) -> list[dict]:
    return [service.submit(prompt=f"a {word} star falls over snow, {n}", seed=n) for n in range(count)]


def made_once(service: Service, clips: list[dict]) -> None:
    for clip in map(service.finished, clips):
        assert clip["status"] == "completed"
        assert [row[0] for row in service.attempts(clip)] == ["delivered"]
        assert len(service.charges(clip)) == 1


def all_taken(service: Service) -> None:
    """Every ticket was taken up, and none made an attempt."""
    deadline = time.monotonic() + PATIENCE_S  # a worker takes up to a second for each
    while service.redis_tickets():
        assert time.monotonic() < deadline, "tickets are left"
        time.sleep(0.1)


def test_a_hundred_too_many(service):
    outages.send_tickets(service.redis_url, MORE)
    clips = submit(service, 2, "green")
    outages.send_tickets(service.redis_url, MORE)
    made_once(service, clips)
    all_taken(service)


def test_every_one_lost(service):
    """Admission's tickets are thrown away with the queue; upkeep sends others."""
    service.sql(DRAIN, "drain")
    clips = submit(service, 2, "red")
    with redis.Redis.from_url(service.redis_url) as client:
        client.delete("clips")
    service.sql(DRAIN, "run")
    made_once(service, clips)


def test_one_that_comes_when_all_is_done(service):
    clips = submit(service, 1, "blue")
    made_once(service, clips)
    before = service.row("SELECT count(*), max(fence) FROM generation_attempt")
    outages.send_tickets(service.redis_url, 3)
    all_taken(service)
    time.sleep(1)
    assert service.row("SELECT count(*), max(fence) FROM generation_attempt") == before
    made_once(service, clips)
    assert service.reconciles()
