"""Probes: the process answers whatever is down; readiness says what is missing."""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generation.models import Worker
from tests.generation.api_stage import worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; the probe has a connection of its own."""


def test_the_process_answers_without_the_database(client):
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/healthz")
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert len(queries) == 0


def test_ready_with_a_live_worker_in_every_pool(client):
    worker("clips"), worker("code"), worker("code")
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "missing": [],
        "database": "ok",
        "redis": "ok",
        "scorer": "ok",
        "workers": {"clips": 1, "code": 2},
    }
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("gone", ["stopped", "silent", "draining", "never"])
def test_not_ready_without_a_live_worker_in_a_pool(client, gone):
    worker("clips")
    if gone != "never":
        code = worker("code")
        changes = {
            "stopped": {"stopped_at": timezone.now()},
            "silent": {"seen_at": timezone.now() - timedelta(minutes=5)},
            "draining": {"desired": Worker.Desired.DRAIN},
        }[gone]
        Worker.objects.filter(pk=code.pk).update(**changes)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["missing"]) == (503, ["workers:code"])


def test_not_ready_without_redis(client, settings):
    worker("clips"), worker("code")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get("/readyz")
    assert (response.status_code, response.json()["missing"]) == (503, ["redis"])


def test_not_ready_without_a_scorer(client, settings, tmp_path):
    worker("clips"), worker("code")
    settings.SCORERS = [f"unix:{tmp_path / 'nobody'}"]
    response = client.get("/readyz")
    assert (response.status_code, response.json()["missing"]) == (503, ["scorer"])
    assert response.json()["scorer"] == "Unanswered"


def test_not_ready_without_the_database_and_quick_to_say_so(client, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "PORT", 1)
    started = time.monotonic()
    response = client.get("/readyz")
    assert time.monotonic() - started < 3
    assert (response.status_code, response.json()["missing"]) == (503, ["database"])
    assert "backlot" not in response.content.decode().replace("backlot_", "")
