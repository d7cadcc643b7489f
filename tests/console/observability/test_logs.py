"""Every line says what it is about, as JSON where it is for machines; no line says what somebody wrote."""

import io
import json
import logging
from contextvars import copy_context

import pytest
import structlog
from django.test import Client

from accounts import log_context
from accounts.identity import key_caller
from console import logs
from generation import admission
from generation.models import Job, Pool
from generation.worker import loop
from generation.worker.station import Station
from tests.generation.api_stage import CLIP, CODE, tenant

PROMPT = "A blue square moves left over a yellow wall"


@pytest.fixture
def lines(monkeypatch, settings):
    """What is logged while the test runs, as JSON objects."""
    stream, before = io.StringIO(), logging.getLogger().handlers
    level = logging.getLogger().level
    monkeypatch.setenv("LOG_FORMAT", "json")
    settings.REQUEST_LOG = True
    logs.configure(stream)

    def read() -> list[dict]:
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield read
    monkeypatch.undo()
    logging.getLogger().handlers, logging.getLogger().level = before, level


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.CHECKPOINT_ROOT, settings.WORK_ROOT = tmp_path / "checkpoints", tmp_path / "work"


@pytest.mark.django_db
def test_the_line_of_a_request_names_the_job_and_the_decision_it_led_to(lines, client: Client):
    someone = tenant("plus")
    answer = client.post("/v1/videos", {**CLIP, "prompt": PROMPT}, headers=someone.auth)
    job = Job.objects.get(organization=someone.organization)
    line = next(line for line in lines() if line["event"] == "answered")
    assert line["request_id"] == answer["X-Request-Id"]
    assert line["job"] == str(job.pk)
    assert line["decision"] == str(job.decision_id)
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/videos", 200)
    assert PROMPT not in json.dumps(lines())


@pytest.mark.django_db
def test_what_a_worker_logs_names_job_attempt_and_decision(lines, client: Client):
    someone = tenant("plus")
    job = admission.submit_code(key_caller(someone.raw), CODE)
    station = Station(Pool.objects.get(pk="code"), slots=1)
    loop.work(station)
    station.close()
    claimed = next(line for line in lines() if line["event"] == "claimed")
    assert claimed["job"] == str(job.pk)
    assert claimed["decision"] == str(job.decision_id)
    assert claimed["attempt"] == str(claimed["fence"])
    assert "fibonacci" not in json.dumps(lines())


def test_what_is_noted_in_a_thread_of_the_work_stands_on_its_last_line(lines):
    with log_context.about(request_id="req_1"):
        copy_context().run(lambda: log_context.note(job="j1"))
        logging.getLogger("backlot.test").info("one")
        structlog.get_logger("backlot.test").info("two")
    logging.getLogger("backlot.test").info("three")
    one, two, three = lines()
    assert (one["request_id"], one["job"]) == (two["request_id"], two["job"]) == ("req_1", "j1")
    assert "job" not in three


def test_a_line_that_names_another_job_keeps_it(lines):
    with log_context.about(job="mine"):
        logging.getLogger("backlot.test").info("seen", extra={"job": "another"})
    assert lines()[0]["job"] == "another"
