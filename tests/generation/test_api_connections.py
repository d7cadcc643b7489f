"""Streams that are opened, cut and opened again take nothing of the pool of database connections along."""

import httpx2
import pytest
from django.db import connection

from tests.generation.api_stage import CODE, tenant
from tests.generation.live import serving

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


def test_more_streams_than_connections_one_after_another(db):
    plus = tenant("plus")
    most = connection.settings_dict["OPTIONS"]["pool"]["max_size"]
    with serving() as address, httpx2.Client(base_url=address, headers=plus.auth, timeout=20) as http:
        made = http.post("/v1/responses", json={"input": CODE["prompt"], "background": True}).json()
        addresses = [f"/api/jobs/{made['id'].replace('resp_', '')}/stream", "/api/events?seconds=30"]
        addresses.append(f"/v1/responses/{made['id']}?stream=true")
        for number in range(3 * (most + 2)):
            with http.stream("GET", addresses[number % 3]) as stream:
                assert stream.status_code == 200, stream.read()
                next(stream.iter_raw())
        assert http.get("/v1/models").status_code == 200
