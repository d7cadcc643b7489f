"""Every test run: PostgreSQL and Redis first, then Django.

With DATABASE_URL and REDIS_URL set the tests use those servers (the database `test_<name>` and the Redis
database that the URL names, which is emptied). Without, they start the embedded ones in a home of the tests'
own, `$BACKLOT_HOME/test` or `var/test`.
pytest-django would read the settings before this file had a chance to name servers, so the settings module is
named here and not in pyproject.toml.
"""

import os
from collections.abc import Iterator

from tests import servers

servers.prepare()
# Signing is given up after a second, which many runs beside one another on a small machine may take; the tests of the
# budget set their own.
os.environ.setdefault("SIGNING_BUDGET_SECONDS", "20")

import django  # noqa: E402

django.setup()

import pytest  # noqa: E402
import redis  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests import scoring  # noqa: E402

# How long an example takes says how busy the machine is, nothing of a property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def django_db_setup(scorer, django_db_setup, django_db_blocker) -> None:
    """The shipped models serve, as after their deploy gate, which would need their weights in this process."""
    from tests.generation.rollout_stage import promote_shipped

    with django_db_blocker.unblock():
        promote_shipped()
    scoring.ready()


@pytest.fixture(scope="session")
def scorer() -> Iterator[None]:
    """The process that scores texts, for every test that asks for a clip or code."""
    with scoring.of_this_run():
        yield


@pytest.fixture
def clean_redis() -> Iterator[redis.Redis]:
    """A client of the run's Redis database, emptied before and after the test."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()
        yield client
        client.flushdb()


def pytest_report_header() -> str:
    return servers.sentence()
