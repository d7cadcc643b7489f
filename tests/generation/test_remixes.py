"""A remix: a finished clip's settings and seed with other words, by the way of every clip, its parent on record."""

import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from billing.reconciliation import reconcile
from generation.models import Job, State
from generation.retention import removal
from tests.generation.api_stage import counts, deliver, job_of, make_clip, media_folder, tenant, withdraw
from tests.generation.queueing import caller
from tests.generation.test_api_errors import error_of

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

WORDS = "A green square moves left over a blue wall"


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.fixture
def made(client, plus) -> Job:
    return deliver(job_of(make_clip(client, plus, seed=7)))


def remix(client, plus, parent: Job, key: str | None = None, **fields):
    headers = {**plus.auth, **({"Idempotency-Key": key} if key else {})}
    body = {"prompt": WORDS, **fields}
    return client.post(
        f"/v1/videos/{parent.public_id}/remix", body, content_type="application/json", headers=headers
    )


def test_a_remix_takes_over_all_but_the_words_and_names_its_parent(client, plus, made):
    answer = remix(client, plus, made).json()
    assert answer["remixed_from_video_id"] == made.public_id
    assert (answer["prompt"], answer["status"]) == (WORDS, "queued")
    assert (answer["size"], answer["seconds"], answer["model"]) == ("64x64", "2", "pocket-video")
    assert (answer["backlot"]["seed"], answer["backlot"]["extends"]) == (7, None)
    job = job_of(answer)
    assert (job.parent_id, job.parent_relation, job.state) == (made.pk, "remix", State.QUEUED)
    assert (job.decision.allowed, job.hold.resolved_at) == (True, None)
    again = client.get(f"/v1/videos/{answer['id']}", headers=plus.auth).json()
    assert again["remixed_from_video_id"] == made.public_id
    shown = client.get(f"/api/jobs/{answer['id']}", headers=plus.auth).json()
    assert shown["parent"] == {"id": made.public_id, "relation": "remix"}
    listed = client.get("/api/jobs", headers=plus.auth).json()["data"]
    assert [one["parent"] for one in listed] == [shown["parent"], None]  # the newest first
    assert reconcile().drift == ()


def test_what_is_given_counts(client, plus, made):
    answer = remix(client, plus, made, seed=8, seconds="2", size="64x64").json()
    assert answer["backlot"]["seed"] == 8
    refused = remix(client, plus, made, size="1x1")
    assert (refused.status_code, error_of(refused)["code"]) == (400, "unsupported_size")


def test_the_same_words_and_seed_are_an_exact_repeat_at_its_price(client, plus, made):
    answer = remix(client, plus, made, prompt=made.prompt).json()
    assert (answer["status"], answer["backlot"]["repeat_of"]) == ("completed", made.public_id)
    assert answer["remixed_from_video_id"] == made.public_id
    assert answer["backlot"]["charge_micro"] < made.charge_micro


def test_the_words_pass_the_text_filter_again(client, plus, made):
    before = Job.objects.count()
    refused = remix(client, plus, made, prompt="BACKLOT-CANARY-VIOLENCE")
    assert (refused.status_code, error_of(refused)["code"]) == (400, "moderation_blocked")
    assert refused.headers["X-Should-Retry"] == "false"
    assert Job.objects.count() == before


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        ("open", 409, "not_ready"),
        ("cancelled", 400, "invalid_value"),
        ("withdrawn", 410, "content_withdrawn"),
        ("deleted", 404, "not_found"),
    ],
)
def test_only_a_finished_clip_is_remixed(client, plus, end, status, code):
    job = job_of(make_clip(client, plus))
    if end == "cancelled":
        client.delete(f"/v1/videos/{job.public_id}", headers=plus.auth)
    elif end != "open":
        deliver(job)
        withdraw(job) if end == "withdrawn" else removal.delete(job, caller(plus))
    before = counts(plus)
    refused = remix(client, plus, job)
    assert (refused.status_code, error_of(refused)["code"]) == (status, code)
    assert counts(plus) == before


def test_another_organizations_clip_is_not_found(client, made):
    other = tenant("plus")
    before = counts(other)
    refused = remix(client, other, made)
    assert (refused.status_code, error_of(refused)["param"]) == (404, "video_id")
    assert counts(other) == before


def test_a_clip_whose_files_are_gone_can_still_be_remixed(client, plus, made):
    age(made)
    assert remix(client, plus, made).status_code == 200


def age(job: Job) -> None:
    """As if its files had been kept for as long as was promised."""
    Job.objects.filter(pk=job.pk).update(expires_at=F("finished_at") + timedelta(milliseconds=1))


def test_a_key_repeats_one_remix_and_tells_parents_apart(client, plus, made):
    other = deliver(job_of(make_clip(client, plus, seed=7, prompt="another red circle")))
    first, again = remix(client, plus, made, "k"), remix(client, plus, made, "k")
    assert first.json()["id"] == again.json()["id"]
    reused = remix(client, plus, other, "k")
    assert (reused.status_code, error_of(reused)["code"]) == (409, "idempotency_key_reused")
    assert Job.objects.filter(parent_relation="remix").count() == 1


def test_fields_that_it_does_not_know_and_words_that_are_missing_are_named(client, plus, made):
    assert error_of(remix(client, plus, made, steps=9))["param"] == "steps"
    assert error_of(remix(client, plus, made, prompt=""))["code"] == "prompt_empty"
    assert error_of(remix(client, plus, made, prompt=None))["param"] == "prompt"


def refused_by_database(sql: str, *values) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(caught.value)


def test_the_database_keeps_parents(client, plus, made):
    job = job_of(remix(client, plus, made).json())
    orphan = "UPDATE generation_job SET parent_id = NULL, parent_relation = '' WHERE id = %s"
    assert "cannot change" in refused_by_database(orphan, job.pk)
    relation = "UPDATE generation_job SET parent_relation = 'extension' WHERE id = %s"
    assert "cannot change" in refused_by_database(relation, job.pk)
    copied = ", ".join(
        field.column
        for field in Job._meta.concrete_fields
        if field.column not in ("id", "hold_id", "decision_id")
    )
    insert = (
        f"INSERT INTO generation_job (id, hold_id, decision_id, {copied}) "
        f"SELECT %s, hold_id, decision_id, {copied} FROM generation_job WHERE id = %s"
    )
    withdraw(made)
    assert "not delivered now" in refused_by_database(insert, uuid.uuid4(), job.pk)
