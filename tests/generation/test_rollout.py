"""The way of a revision, held by the database too: no service without a passed gate, no job for a withdrawn one."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from accounts import actions, staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, OperationalEvent, StaffRole, User
from billing.models import Hold
from generation import admission, registry
from generation.models import Attempt, Evaluation, Job, ModelLoad, RegisteredModel, State
from generation.revisions import rollout
from generation.revisions.rollout_actions import PromoteModel, QuarantineModel, RetireModel
from generation.scheduling.leases import LeaseLost, lease_of
from tests.generation.api_stage import tenant
from tests.generation.queueing import CLIP, caller, claim, idle_worker, submit
from tests.generation.rollout_stage import candidate, gate_run, serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def person() -> User:
    user = User.objects.create_user("operator@example.com")
    staff.grant(user, StaffRole.Role.OPERATOR, "test", "for this test")
    return user


def serving() -> RegisteredModel:
    return RegisteredModel.objects.get(name="pocket-video", status="active")


def refused(change) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        change()


def set_status(model: RegisteredModel, status: str) -> None:
    RegisteredModel.objects.filter(pk=model.pk).update(status=status)


def test_the_database_refuses_service_without_a_passed_gate_of_this_revision():
    new, other = candidate(), candidate()
    set_status(serving(), "retired")
    refused(lambda: set_status(new, "active"))
    gate_run(new, passed=False)
    refused(lambda: set_status(new, "active"))
    gate_run(other)
    refused(lambda: set_status(new, "active"))
    gate_run(new)
    set_status(new, "active")


def test_the_database_refuses_a_gate_that_is_too_old():
    new = candidate()
    set_status(serving(), "retired")
    gate_run(new, at=timezone.now() - timedelta(days=7, minutes=1))
    refused(lambda: set_status(new, "active"))
    gate_run(new, at=timezone.now() - timedelta(days=6))
    set_status(new, "active")


def test_a_revision_begins_as_candidate_and_keeps_its_name():
    refused(lambda: candidate(status="active"))
    new = candidate()
    refused(lambda: RegisteredModel.objects.filter(pk=new.pk).update(revision="another"))
    refused(lambda: RegisteredModel.objects.filter(pk=new.pk).update(name="another"))


@pytest.mark.parametrize(
    ("figures", "floors"),
    [
        ({"finite": 0.9}, {"finite": 1.0}),
        ({}, {"finite": 1.0}),
        ({"finite": 1.0}, {}),
        ({"finite": None}, {"finite": 0}),
    ],
)
def test_the_database_refuses_passed_with_a_figure_below_its_floor(figures, floors):
    refused(lambda: gate_run(serving(), figures=figures, floors=floors))


def test_an_evaluation_is_written_once():
    run = gate_run(candidate(), passed=False)
    refused(lambda: Evaluation.objects.filter(pk=run.pk).update(passed=True))
    refused(lambda: Evaluation.objects.filter(pk=run.pk).delete())


def test_promoting_retires_the_one_before_and_waiting_jobs_keep_theirs(person):
    before, new = serving(), candidate()
    waiting = submit(tenant())
    gate_run(new)
    preview = PromoteModel(new.pk).preview()
    assert "what waits for it (1 job)" in preview.sentence
    entry = actions.perform(PromoteModel(new.pk), person, "better")
    assert serving() == new
    assert RegisteredModel.objects.get(pk=before.pk).status == "retired"
    waiting.refresh_from_db()
    assert (waiting.model_id, waiting.state) == (before.pk, State.QUEUED)
    assert submit(tenant()).model_id == new.pk
    actions.revert(PromoteModel(new.pk), entry, person, "not better")
    assert serving() == before
    assert RegisteredModel.objects.get(pk=new.pk).status == "candidate"


def test_an_old_or_failed_gate_is_refused_with_words(person):
    new = candidate()
    gate_run(new, at=timezone.now() - timedelta(days=8))
    with pytest.raises(ApiError, match="older than 7 days"):
        actions.perform(PromoteModel(new.pk), person, "please")
    gate_run(new, passed=False)
    with pytest.raises(ApiError, match="finite 0.5 below 1"):
        actions.perform(PromoteModel(new.pk), person, "please")
    assert not AuditEntry.objects.filter(action="model.promote", actor=person).exists()


def test_a_quarantine_refuses_new_requests_and_ends_open_jobs_uncharged(person):
    model, customer = serving(), tenant()
    running = submit(customer)
    attempt = claim(idle_worker())
    waiting = submit(customer)
    assert attempt.job_id == running.pk
    entry = actions.perform(QuarantineModel(model.pk), person, "flicker")
    with pytest.raises(ApiError) as no:
        submit(customer)
    assert no.value.code == "model_not_found"
    assert rollout.end_quarantined_jobs() == 2
    for job in (running, waiting):
        job.refresh_from_db()
        assert (job.state, job.error_code, job.charge_micro) == (State.FAILED, "model_withdrawn", 0)
        assert "Nothing was charged" in job.error_message
        assert Hold.objects.get(pk=job.hold_id).state == Hold.State.RELEASED
    with pytest.raises(LeaseLost):
        lease_of(attempt).renew(step=3)
    assert not Attempt.objects.filter(ended_at=None).exists()
    assert rollout.end_quarantined_jobs() == 0
    assert registry.quarantined([model.pk]) == {model.pk}
    actions.revert(QuarantineModel(model.pk), entry, person, "it was the monitor")
    assert submit(customer).model_id == model.pk


def test_a_retired_revision_still_makes_what_waits_for_it(person):
    model = serving()
    job = submit(tenant())
    actions.perform(RetireModel(model.pk), person, "old")
    assert rollout.end_quarantined_jobs() == 0
    assert claim(idle_worker()).job_id == job.pk


def test_undoing_a_quarantine_does_not_push_another_revision_aside(person):
    old, new = serving(), candidate()
    entry = actions.perform(QuarantineModel(old.pk), person, "flicker")
    serve(new)
    with pytest.raises(ApiError, match="serves now"):
        actions.revert(QuarantineModel(old.pk), entry, person, "again")
    assert serving() == new


def test_the_database_writes_no_job_for_a_revision_that_is_not_active():
    job = submit(tenant())
    set_status(serving(), "quarantined")
    names = [f.column for f in Job._meta.concrete_fields if f.column not in ("id", "hold_id", "decision_id")]
    columns = ", ".join(names)
    copy = (
        f"INSERT INTO generation_job (id, hold_id, decision_id, {columns}) "
        f"SELECT gen_random_uuid(), hold_id, decision_id, {columns} FROM generation_job WHERE id = %s"
    )
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="not active"):
        cursor.execute(copy, [job.pk])


def test_a_revision_withdrawn_while_a_request_is_weighed_admits_nothing(monkeypatch):
    customer, model = tenant(), serving()
    screen = admission.screen_prompt

    def withdrawn_meanwhile(*asked):
        set_status(model, "quarantined")
        return screen(*asked)

    monkeypatch.setattr(admission, "screen_prompt", withdrawn_meanwhile)
    with pytest.raises(ApiError, match="withdrawn just now"):
        admission.submit_clip(caller(customer), CLIP)
    assert not Job.objects.filter(organization=customer.organization).exists()
    assert not Hold.objects.filter(organization=customer.organization).exists()


def test_a_model_that_no_living_worker_can_load_is_refused_with_the_reason():
    customer, model = tenant(), serving()
    first, second = idle_worker(), idle_worker()
    registry.note_load_problem(first, model, "bf16", "it needs 40.0 GB, and 12.0 GB are free.")
    submit(customer)  # the second worker has not tried yet
    registry.note_load_problem(second, model, "bf16", "it needs 40.0 GB, and 12.0 GB are free.")
    registry.note_load_problem(second, model, "bf16", "it needs 40.0 GB, and 12.0 GB are free.")
    with pytest.raises(ApiError) as no:
        submit(customer)
    assert (no.value.code, no.value.status) == ("model_unavailable", 503)
    assert "40.0 GB" in no.value.message
    assert OperationalEvent.objects.filter(kind="model.unavailable").count() == 2
    registry.note_load(second, model, "bf16", 1.5)
    submit(customer)
    registry.forget_load(second, model.pk)
    assert not ModelLoad.objects.filter(worker=second).exists()
