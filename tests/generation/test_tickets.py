"""A ticket is, but for its ids, the message that Celery itself sends; and a pile of them is not made higher."""

import json
import time

import pytest
import redis
from celery import current_app

from generation.scheduling import tickets

POOL = "code"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Of piles that other tests made."""
    monkeypatch.setattr(tickets, "_full_until", {})


@pytest.fixture
def broker(clean_redis):
    return clean_redis


def test_it_is_what_celery_would_have_sent(broker):
    assert tickets.send(POOL)
    current_app.send_task(tickets.TASK, args=[POOL], queue=POOL)
    theirs, ours = (json.loads(found) for found in broker.lrange(POOL, 0, -1))
    assert ours["headers"]["id"] == ours["properties"]["correlation_id"] == ours["headers"]["root_id"]
    for message in (ours, theirs):
        for name in ("id", "root_id", "origin"):
            assert message["headers"].pop(name)
        for name in ("correlation_id", "delivery_tag", "reply_to"):
            assert message["properties"].pop(name)
    assert ours == theirs


def test_each_has_ids_of_its_own(broker):
    for _ in range(3):
        tickets.send(POOL)
    messages = [json.loads(found) for found in broker.lrange(POOL, 0, -1)]
    assert len({message["headers"]["id"] for message in messages}) == 3
    assert len({message["properties"]["delivery_tag"] for message in messages}) == 3


def test_where_enough_lie_no_more_are_sent(broker):
    for _ in range(tickets.ENOUGH + 5):
        assert tickets.send(POOL)
    assert broker.llen(POOL) == tickets.ENOUGH


def test_a_pile_that_was_taken_is_noticed(broker):
    for _ in range(tickets.ENOUGH + 1):
        tickets.send(POOL)
    broker.delete(POOL)
    time.sleep(tickets.FULL_FOR_S)
    assert tickets.send(POOL)
    assert broker.llen(POOL) == 1


def test_without_redis_none_is_sent_and_nothing_breaks(monkeypatch):
    nowhere = redis.Redis.from_url("redis://127.0.0.1:1/0").register_script(tickets.SEND)
    monkeypatch.setattr(tickets, "_send", lambda: nowhere)
    assert not tickets.send(POOL)
