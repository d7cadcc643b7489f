"""Taken back: every link dead at once, the charge back once, the file in quarantine; back by a second person alone."""

import hashlib

import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction
from django.test import Client

from accounts import actions, approvals
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, OperationalEvent, OutboxEvent
from billing.models import Transaction
from generation import delivery
from generation.afterwards import quarantine_files, withdrawal
from generation.afterwards.withdrawal_actions import RestoreClip, WithdrawClip
from generation.models import Asset, Job, State, Withdrawal, WithdrawalPolicy
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit
from tests.generation.review_stage import delivered, review_folders, reviewer, stored_files

__all__ = ["review_folders"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(review_folders, monkeypatch):
    monkeypatch.setattr(transaction, "on_commit", lambda call, *_, **__: call())
    return review_folders


class Killed(BaseException):
    """The process ends here."""


def refunds(job: Job) -> list[str]:
    rows = Transaction.objects.filter(organization=job.organization, kind=Transaction.Kind.REFUND)
    return [row.idempotency_key for row in rows]


def refused(sql: str, *values, match: str) -> None:
    with pytest.raises(DatabaseError, match=match), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_every_link_dies_with_the_withdrawal_and_the_charge_comes_back_once(folder):
    owner = tenant("plus")
    job, client = delivered(folder, owner), Client()
    links = [delivery.clip_link(job, role) for role in ("video", "thumbnail", "spritesheet")]
    assert [client.get(link).status_code for link in links] == [200, 200, 200]
    made = withdrawal.withdraw(job, by=reviewer(), reason="confirmed by hand")
    assert [client.get(link).status_code for link in links] == [410, 410, 410]
    content = client.get(f"/v1/videos/{job.public_id}/content", headers=owner.auth)
    assert (content.status_code, content.json()["error"]["code"]) == (410, "content_withdrawn")
    assert client.get(f"/v1/videos/{job.public_id}", headers=owner.auth).json()["status"] == "failed"
    job.refresh_from_db()
    assert (job.state, job.error_code) == (State.WITHDRAWN, "content_withdrawn")
    assert (made.refund_micro, refunds(job)) == (job.charge_micro, [f"withdrawal:{job.pk}"])
    assert "confirmed by hand" not in str(client.get(f"/api/jobs/{job.pk}", headers=owner.auth).json())
    assert withdrawal.withdraw(job, by=reviewer(), reason="again") is None
    assert refunds(job) == [f"withdrawal:{job.pk}"]
    assert (
        OutboxEvent.objects.filter(topic="video.failed", key__startswith=f"{job.pk}:withdrawn").count() == 1
    )


def test_the_files_lie_in_quarantine_with_the_digests_that_were_delivered(folder):
    job = delivered(folder)
    paths = dict(Asset.objects.filter(job=job).values_list("path", "digest"))
    assert len(paths) == 3
    made = withdrawal.withdraw(job, by="re-scan", reason="found")
    made.refresh_from_db()
    assert made.settled_at is not None
    assert stored_files() == []
    for path, digest in paths.items():
        with quarantine_files.quarantine().open(f"withdrawn/{path}", "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    assert {file["sha256"] for file in made.files} == set(paths.values())


@pytest.mark.parametrize("percent", [0, 40, 100])
def test_the_policy_says_how_much_comes_back(folder, percent):
    WithdrawalPolicy.objects.filter(pk=1).update(refund_percent=percent)
    job = delivered(folder)
    made = withdrawal.withdraw(job, by="re-scan", reason="found")
    assert made.refund_micro == job.charge_micro * percent // 100
    assert bool(refunds(job)) is (percent > 0)


def test_exact_repeats_go_with_the_clip_and_come_back_with_it(folder):
    owner = tenant("plus")
    job = delivered(folder, owner, seed=7)
    repeat = submit(owner, seed=7)
    assert (repeat.repeat_of_id, repeat.state) == (job.pk, State.DELIVERED)
    made = withdrawal.withdraw(repeat, by=reviewer(), reason="found")
    assert made.job_id == job.pk
    assert set(Job.objects.filter(pk__in=(job.pk, repeat.pk)).values_list("state", flat=True)) == {
        "withdrawn"
    }
    assert sorted(refunds(job)) == sorted([f"withdrawal:{job.pk}", f"withdrawal:{repeat.pk}"])
    withdrawal.restore(made.pk, reviewer(), "looked at again")
    assert set(Job.objects.filter(pk__in=(job.pk, repeat.pk)).values_list("state", flat=True)) == {
        "delivered"
    }


@pytest.mark.parametrize("where", ["books", "refund", "incidents"])
def test_killed_inside_the_transaction_nothing_has_happened(folder, monkeypatch, where):
    job = delivered(folder)

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        place = {
            "books": (withdrawal.books, "open_books"),
            "refund": (withdrawal.corrections, "refund_charge"),
            "incidents": (withdrawal.incidents, "note_on_subject"),
        }[where]
        patch.setattr(*place, killed)
        with pytest.raises(Killed), transaction.atomic():
            withdrawal.withdraw(job, by="re-scan", reason="found")
    job.refresh_from_db()
    assert (job.state, refunds(job), Withdrawal.objects.count()) == (State.DELIVERED, [], 0)
    assert delivery.deliverable(Asset.objects.get(job=job, role="video").path)


def test_killed_before_the_files_moved_links_are_dead_and_upkeep_moves_them(folder, monkeypatch):
    job = delivered(folder)
    link = delivery.clip_link(job)
    with monkeypatch.context() as patch:
        patch.setattr(withdrawal, "_afterwards", lambda *_: None)
        made = withdrawal.withdraw(job, by="re-scan", reason="found")
    assert Client().get(link).status_code == 410
    assert len(stored_files()) == 3

    def half(path, digest):
        patch.undo()
        quarantine_files.move_in(path, digest)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(quarantine_files, "move_in", half)
        with pytest.raises(Killed), transaction.atomic():
            withdrawal.settle(made.pk)
    assert withdrawal.settle_pending() == 1
    assert stored_files() == []
    assert withdrawal.settle_pending() == 0


def test_a_storage_that_is_away_is_an_alarm_and_tried_again(folder, monkeypatch):
    job = delivered(folder)

    def away(*_):
        raise OSError("the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(quarantine_files, "move_in", away)
        made = withdrawal.withdraw(job, by="re-scan", reason="found")
        withdrawal.settle(made.pk)
    told = OperationalEvent.objects.filter(kind="withdrawal.not_settled", subject=f"withdrawal:{made.pk}")
    assert told.count() == 1
    assert withdrawal.settle_pending() == 1


def test_a_second_person_restores_and_the_refund_stays(folder):
    job, first, second = delivered(folder), reviewer(), reviewer()
    entry = actions.perform(WithdrawClip(job.pk), first, "a mistake, as it turns out")
    made = Withdrawal.objects.get(pk=entry.undo["withdrawal"])
    for one in (RestoreClip(made.pk),):
        with pytest.raises(ApiError, match="second person"):
            actions.perform(one, first, "it was fine")
    with pytest.raises(ApiError, match="second person"):
        actions.revert(WithdrawClip(job.pk), entry, first, "it was fine")
    actions.revert(WithdrawClip(job.pk), entry, second, "it was fine")
    job.refresh_from_db()
    assert (job.state, job.error_code) == (State.DELIVERED, "")
    assert Client().get(delivery.clip_link(job)).status_code == 200
    assert len(refunds(job)) == 1
    assert quarantine_files.quarantine().listdir(f"withdrawn/clips/{job.pk}/{job.fence}")[1] == []
    again = withdrawal.withdraw(job, by=first, reason="found again")
    assert (again.refund_micro, len(refunds(job))) == (0, 1)
    assert AuditEntry.objects.filter(action="clip.withdraw.undo", target=f"job:{job.pk}").count() == 1


def test_what_can_not_be_restored(folder):
    final = withdrawal.withdraw(delivered(folder), by="re-scan", reason="child safety", final=True)
    with pytest.raises(ApiError, match="no way back"):
        withdrawal.restore(final.pk, reviewer(), "please")
    damaged = withdrawal.withdraw(delivered(folder, seed=2), by="re-scan", reason="found")
    path = folder / "quarantine" / "withdrawn" / damaged.files[0]["path"]
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ApiError, match="can't be brought back"):
        withdrawal.restore(damaged.pk, reviewer(), "please")
    damaged.job.refresh_from_db()
    assert damaged.job.state == State.WITHDRAWN


def test_deleting_takes_a_second_person_and_leaves_no_file(folder):
    job, first, second = delivered(folder), reviewer(), reviewer()
    waits = approvals.submit(WithdrawClip(job.pk, "delete"), first, "must not exist")
    assert isinstance(waits, Approval)
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    with pytest.raises(ApiError, match="yourself"):
        approvals.approve(waits.pk, first, "agreed")
    approvals.approve(waits.pk, second, "agreed")
    job.refresh_from_db()
    assert job.state == State.WITHDRAWN
    assert stored_files() == []
    assert not quarantine_files.quarantine().exists(f"withdrawn/clips/{job.pk}")
    with pytest.raises(ApiError, match="deleted"):
        withdrawal.restore(Withdrawal.objects.get(job=job).pk, second, "please")


def test_only_trust_and_safety_withdraws_and_the_preview_changes_nothing(folder):
    job = delivered(folder)
    with pytest.raises(ApiError, match="trust & safety"):
        actions.perform(WithdrawClip(job.pk), job.created_by, "I want my money back")
    preview = WithdrawClip(job.pk).preview()
    assert preview.after["refund_micro"] == job.charge_micro
    job.refresh_from_db()
    assert job.state == State.DELIVERED


BACK = "UPDATE generation_job SET state = 'delivered', state_cause = 'x' WHERE id = %s"


def test_past_python_nothing_withdrawn_comes_back(folder):
    job = delivered(folder)
    made = withdrawal.withdraw(job, by=reviewer(), reason="found")
    refused(BACK, job.pk, match="unless a second person restored it")
    sql = "UPDATE generation_withdrawal SET restored_at = now(), restored_by_id = %s, restore_reason = 'x'"
    sql += " WHERE id = %s"
    refused(sql, made.by_id, made.pk, match="restored_by_a_second_person")
    refused("DELETE FROM generation_withdrawal WHERE id = %s", made.pk, match="Cannot delete")
    refused("UPDATE generation_withdrawal SET final = true WHERE id = %s", made.pk, match="Cannot update")
    assert default_storage.exists(f"clips/{job.pk}/{job.fence}/clip.mp4") is False


def test_a_withheld_file_is_not_lifted_while_people_look_at_it(folder):
    from generation.afterwards import clip_reports
    from tests.generation.queueing import caller

    owner = tenant("plus")
    job = delivered(folder, owner)
    link = delivery.clip_link(job)
    clip_reports.report_clip(job, "child_safety", "look at this", caller(owner))
    assert Client().get(link).status_code == 409
    with pytest.raises(ApiError, match="looked at again"):
        delivery.clip_link(job)
    refused(
        "UPDATE generation_asset SET withheld_at = NULL WHERE job_id = %s", job.pk, match="is withheld while"
    )
