"""The workers' page: what each does, telling one what to do with a reason, undoing it, and who may."""

import re

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from generation.fleet import quarantine
from generation.fleet.worker_actions import set_state
from generation.models import Worker
from tests.console.people import PROMPT, clip, operator, person
from tests.generation.api_stage import claimed
from tests.generation.queueing import idle_worker

pytestmark = pytest.mark.django_db


def tell(client, worker: Worker, **fields):
    fields = {"state": "drain", "reason": "new driver", "expires": "", **fields}
    return client.post(f"/operate/workers/{worker.pk}/state", fields)


def test_workers_are_listed_with_state_and_job_but_no_prompt(django_assert_max_num_queries):
    client, _ = operator()
    job = clip(person()[1])
    claimed()
    for _ in range(5):
        idle_worker("code")
    with django_assert_max_num_queries(16):
        html = client.get("/operate/workers/").content.decode()
    assert f"/operate/jobs/{job.public_id}/" in html
    assert html.count("Runs</span>") == 6
    assert PROMPT not in html


def test_without_a_worker_the_page_says_what_that_means():
    client, _ = operator()
    assert "Jobs wait until one starts" in client.get("/operate/workers/").content.decode()


def test_a_quarantined_worker_shows_why_and_is_set_back_to_run_by_undoing_it():
    client, user = operator()
    worker = idle_worker()
    entry = set_state(worker, "quarantine", quarantine.BY, "3 clips over 2 prompts were not finite")
    html = client.get("/operate/workers/").content.decode()
    assert "Quarantined</span>" in html
    assert "3 clips over 2 prompts were not finite, by nan guard" in html
    (undo,) = re.findall(r'action="(/operate/workers/changes/\d+/undo)"', html)
    client.post(undo, {"reason": " "})
    worker.refresh_from_db()
    assert worker.desired == "quarantine"
    assert client.post(undo, {"reason": "memory was replaced"}).headers["Location"] == "/operate/workers/"
    worker.refresh_from_db()
    assert (worker.desired, worker.desired_by) == ("run", user.email)
    undone = AuditEntry.objects.get(action="worker.state.undo")
    assert (undone.actor, undone.target, undone.reason) == (user, entry.target, "memory was replaced")
    assert undo not in client.get("/operate/workers/").content.decode()


def test_a_state_is_previewed_then_set_for_a_while():
    client, user = operator()
    worker = idle_worker()
    html = client.get(f"/operate/workers/{worker.pk}/preview?state=restart").content.decode()
    assert "is started anew by its keeper" in html
    assert Worker.objects.get().desired == "run"
    assert "Set the state" in client.get(f"/operate/workers/?edit={worker.pk}").content.decode()
    assert tell(client, worker, expires="60").status_code == 302
    worker.refresh_from_db()
    assert (worker.desired, worker.desired_by) == ("drain", user.email)
    assert worker.desired_until > timezone.now()
    assert AuditEntry.objects.get(action="worker.state").reason == "new driver"


@pytest.mark.parametrize("fields", [{"reason": " "}, {"state": "sleep"}, {"state": "run"}, {"expires": "7"}])
def test_without_reason_or_with_a_wrong_value_nothing_changes(fields):
    client, _ = operator()
    worker = idle_worker()
    response = tell(client, worker, **fields)
    assert response.status_code == 400
    assert 'role="alert"' in response.content.decode()
    assert Worker.objects.get().desired == "run"
    assert not AuditEntry.objects.filter(action="worker.state").exists()


def test_a_worker_that_stopped_can_not_be_told_and_a_maker_can_not_tell_any():
    client, _ = operator()
    worker = idle_worker()
    maker, _ = person()
    assert tell(maker, worker).status_code == 403
    assert maker.get("/operate/workers/events").status_code == 403
    Worker.objects.update(stopped_at=timezone.now())
    assert tell(client, worker).status_code == 400
    assert Worker.objects.get().desired == "run"
