"""Reads through a key are counted in Redis, far looser than requests; without Redis they are let through."""

from datetime import timedelta

import pytest

from accounts.errors import ApiError
from billing import read_limits
from tests.billing.conftest import NOON


@pytest.fixture
def few(settings, monkeypatch):
    monkeypatch.setattr(read_limits, "LEAST_PER_MINUTE", 3)
    read_limits._client.cache_clear()
    client = read_limits._client()
    client.delete(*(f"reads:7:{int(NOON.timestamp()) // 60 + n}" for n in range(3)))
    yield client
    read_limits._client.cache_clear()


def reads(organization, times: int, now=NOON) -> None:
    for _ in range(times):
        read_limits.count(organization.pk, 7, now)


def test_a_key_reads_ten_times_as_often_as_it_may_ask(organization, few):
    reads(organization, 100)
    with pytest.raises(ApiError) as caught:
        reads(organization, 1, NOON + timedelta(seconds=45))
    error = caught.value
    assert (error.code, error.status, error.retry_after_s) == ("rate_limit_exceeded", 429, 15.0)
    assert error.headers["x-ratelimit-limit-requests"] == "100"
    reads(organization, 1, NOON + timedelta(seconds=60))


def test_without_redis_reads_go_through(organization, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    read_limits._client.cache_clear()
    reads(organization, 2)
    read_limits._client.cache_clear()


def test_the_least_limit_lets_ten_jobs_be_asked_after_every_second(organization):
    assert read_limits.per_minute(organization.pk, NOON) == 600
