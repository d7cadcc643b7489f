"""The operators' page of models: what it shows, and that each change is previewed, reasoned, audited and undone."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from generation import registry
from generation.models import Evaluation, ModelLoad, RegisteredModel
from tests.console.people import clip, operator, person
from tests.generation.api_stage import worker
from tests.generation.rollout_stage import candidate, gate_run, serve

pytestmark = pytest.mark.django_db
PAGE = "/operate/models/"


def serving(name: str = "pocket-video") -> RegisteredModel:
    return RegisteredModel.objects.get(name=name, status="active")


def test_every_revision_is_shown_with_what_it_can_do_and_what_was_measured(django_assert_max_num_queries):
    client, _ = operator()
    clip(person()[1])
    figures = {
        "all": 0.42,
        "background": 1.0,
        "colour": 0.99,
        "motion": 0.98,
        "shape": 0.43,
        "seconds_per_clip": 1.5,
    }
    run = {"suite": Evaluation.Suite.PROMPTS, "figures": figures, "floors": {"all": 0.85}, "passed": False}
    gate_run(serving(), count=200, **run)
    waiting = candidate()
    with django_assert_max_num_queries(22):
        html = client.get(PAGE).content.decode()
    assert f'<span class="mono faint">{serving().revision}</span>' in html
    assert f'<span class="mono faint">{waiting.revision}</span>' in html
    assert "1 waiting, 0 running" in html
    assert "42 %" in html
    assert "200 prompts, seed 1" in html
    assert "not run yet" in html  # the candidate's gate


def test_the_number_of_queries_does_not_grow_with_the_revisions():
    client, _ = operator()
    with CaptureQueriesContext(connection) as few:
        client.get(PAGE)
    for _ in range(5):
        gate_run(candidate())
    with CaptureQueriesContext(connection) as many:
        client.get(PAGE)
    assert len(many) == len(few)


def test_a_candidate_is_promoted_with_a_reason_and_taken_back():
    client, user = operator()
    before, new = serving(), candidate()
    gate_run(new)
    asked = client.get(f"{PAGE}?change=promote&model={new.pk}").content.decode()
    assert f"made by revision {new.revision}" in asked
    assert serving() == before
    assert client.post(f"{PAGE}{new.pk}/promote", {"reason": "better shapes"}).status_code == 302
    assert serving() == new
    before.refresh_from_db()
    assert before.status == "retired"
    entry = AuditEntry.objects.get(action="model.promote", target=f"model:{new.pk}")
    assert (entry.actor, entry.reason) == (user, "better shapes")
    assert f'action="{PAGE}changes/{entry.pk}/undo"' in client.get(PAGE).content.decode()
    client.post(f"{PAGE}changes/{entry.pk}/undo", {"reason": "worse at night"})
    assert serving() == before
    assert f'action="{PAGE}changes/{entry.pk}/undo"' not in client.get(PAGE).content.decode()


@pytest.mark.parametrize("gated", [None, False])
def test_a_candidate_without_a_passed_gate_is_not_promoted(gated):
    client, _ = operator()
    before, new = serving(), candidate()
    if gated is not None:
        gate_run(new, passed=gated)
    answer = client.post(f"{PAGE}{new.pk}/promote", {"reason": "please"})
    assert answer.status_code == 409
    assert re.search("deploy gate", answer.content.decode())
    assert serving() == before
    assert not AuditEntry.objects.filter(action="model.promote", target=f"model:{new.pk}").exists()


def test_a_change_needs_a_reason_and_the_operators_role():
    client, _ = operator()
    assert client.post(f"{PAGE}{serving().pk}/quarantine", {"reason": "  "}).status_code == 400
    maker, _ = person()
    assert maker.post(f"{PAGE}{serving().pk}/quarantine", {"reason": "no"}).status_code == 403
    assert maker.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}{serving().pk}/explode", {"reason": "no"}).status_code == 404
    assert serving().status == "active"


def test_a_model_that_no_worker_can_load_shows_why():
    client, _ = operator()
    first = worker()
    registry.note_load_problem(first, serving(), "bf16", "model_index.json is missing")
    html = client.get(PAGE).content.decode()
    assert "model_index.json is missing" in html
    assert "can't be loaded" in html
    ModelLoad.objects.all().delete()
    assert "model_index.json is missing" not in client.get(PAGE).content.decode()


def test_asking_for_a_gate_without_a_worker_says_so_and_sends_nothing():
    client, _ = operator()
    new = candidate()
    html = client.post(f"{PAGE}{new.pk}/gate", follow=True).content.decode()
    assert "No worker of the pool clips is running" in html
    assert not AuditEntry.objects.filter(action="model.gate").exists()
    assert not Evaluation.objects.filter(model=new).exists()


def test_a_row_whose_facts_are_wrong_is_shown_as_such_and_breaks_nothing():
    client, _ = operator()
    serve(candidate(facts={"context": 512}, name="pocket-code", kind="code", pool_id="code"))
    broken = candidate(facts={"sizes": "64x64"})
    html = client.get(PAGE).content.decode()
    assert broken.revision in html
    assert "This row can" in html
    assert "facts lacks" in html
