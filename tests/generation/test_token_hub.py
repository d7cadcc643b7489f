"""A reader's place at a stream: what waits for it is bounded, and nothing is lost to the bound."""

import asyncio
import uuid

from generation import streams, token_hub
from generation.token_hub import Tap, hub


def tap() -> Tap:
    return Tap(uuid.uuid4(), 0)


def test_what_waits_for_a_slow_reader_is_bounded():
    slow = tap()
    for number in range(1, token_hub.MOST_ENTRIES + 1):
        slow.put(number, "x", 0.0)
    assert (len(slow.entries), slow.look) == (token_hub.MOST_ENTRIES, False)
    slow.put(token_hub.MOST_ENTRIES + 1, "x", 0.0)
    assert (slow.entries, slow.look) == ([], True)
    slow.put(token_hub.MOST_ENTRIES + 2, "x", 0.0)
    assert slow.entries == []  # it will be read from PostgreSQL with the rest


def test_a_long_text_does_not_wait_either():
    slow = tap()
    slow.put(1, "x" * token_hub.MOST_CHARACTERS, 0.0)
    assert not slow.look
    slow.put(2, "x", 0.0)
    assert (slow.entries, slow.look) == ([], True)


def test_what_was_taken_waits_no_longer():
    reader = tap()
    reader.put(1, "a", 0.0)
    reader.put(2, "b", 0.0)
    assert reader.take() == [(1, "a"), (2, "b")]
    assert reader.take() == []
    reader.put(3, "x" * token_hub.MOST_CHARACTERS, 0.0)
    assert [number for number, _ in reader.take()] == [3]


async def test_a_reader_is_woken_by_what_is_published(clean_redis):
    job = uuid.uuid4()
    async with hub().tap(job, 0) as reader, hub().tap(uuid.uuid4(), 0) as other:
        await asyncio.to_thread(streams.append_tokens, job, 1, "def f(x):\n\u00e9")
        async with asyncio.timeout(5):
            await reader.wait()
        assert reader.take() == [(1, "def f(x):\n\u00e9")]
        assert other.take() == []


async def test_many_streams_share_one_connection(clean_redis):
    before = {client["id"] for client in clean_redis.client_list()}
    jobs = [uuid.uuid4() for _ in range(50)]
    taps = [hub().tap(job, 0) for job in jobs]
    readers = [await one.__aenter__() for one in taps]
    await asyncio.to_thread(lambda: [streams.append_tokens(job, 1, str(job)) for job in jobs])
    async with asyncio.timeout(10):
        for reader in readers:
            await reader.wait()
    assert [reader.take() for reader in readers] == [[(1, str(job))] for job in jobs]
    opened = {client["id"] for client in clean_redis.client_list()} - before
    assert len(opened) <= 1 + token_hub.CONNECTIONS + 1  # the listener, the hub's own few, the writer's
    for one in taps:
        await one.__aexit__(None, None, None)


async def test_a_tap_that_was_left_hears_nothing(clean_redis):
    job = uuid.uuid4()
    async with hub().tap(job, 0) as reader:
        pass
    await asyncio.to_thread(streams.append_tokens, job, 1, "x")
    await asyncio.sleep(0.1)
    assert reader.take() == []
