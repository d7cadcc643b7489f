"""Clips that wait for the signer: kept, told, drained oldest first, given up by the database's clock."""

from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now

from accounts import actions, staff
from accounts.errors import ApiError
from accounts.models import OperationalEvent, User
from billing.models import Charge, Hold
from billing.reconciliation import reconcile
from generation import upkeep
from generation.credentials import held, signing
from generation.credentials.held_actions import RetrySigning
from generation.models import Asset, Job, JobEvent, SigningOutage, State, UnsignedClip
from generation.scheduling.standing import standing
from safety.credentials import provenance
from safety.models import Credential
from tests.generation.api_stage import media_folder, tenant
from tests.generation.held_stage import held_clip, scanned_clip

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "signing_root")]


@pytest.fixture
def signing_root(tmp_path, settings):
    settings.SIGNING_ROOT = tmp_path / "signing"
    return settings.SIGNING_ROOT


@pytest.fixture
def plus():
    return tenant("plus")


def due() -> None:
    """The rest after the last refusal is over."""
    SigningOutage.objects.filter(ended_at=None).update(next_try_at=Now())


def down(settings) -> None:
    """No time stamp can be had, so nothing can be signed."""
    settings.TIMESTAMP_URL = "http://127.0.0.1:1/"


def kinds(**of) -> list[str]:
    return list(OperationalEvent.objects.filter(**of).order_by("pk").values_list("kind", flat=True))


def test_it_waits_with_its_hold_open_and_says_so_in_plain_words(plus, tmp_path, client):
    job = held_clip(plus, tmp_path)
    assert (job.state, job.charge_micro) == (State.HELD, None)
    assert Hold.objects.get(pk=job.hold_id).state == Hold.State.OPEN
    assert not Asset.objects.exists()
    assert default_storage.exists(signing.unsigned_name(job, job.fence))
    shown = client.get(f"/v1/videos/{job.public_id}", headers=plus.auth).json()
    assert (shown["status"], shown["backlot"]["state"]) == ("in_progress", "held")
    assert "waits for signing" in shown["backlot"]["waiting_because"]
    assert "15 minutes" in standing(job).reason
    content = client.get(f"/v1/videos/{job.public_id}/content", headers=plus.auth)
    assert (content.status_code, content.json()["error"]["code"]) == (409, "not_ready")


def test_one_alarm_row_begins_the_outage_and_one_ends_it(plus, tmp_path):
    first, second = held_clip(plus, tmp_path), held_clip(plus, tmp_path, seed=2)
    assert kinds(kind="signing.down") == ["signing.down"]
    assert OperationalEvent.objects.get(kind="signing.down").severity == "critical"
    due()
    assert held.drain(seconds=60) == 2
    assert held.drain(seconds=60) == 0
    outage = SigningOutage.objects.get()
    assert (outage.delivered, outage.ended_at is not None) == (2, True)
    assert OperationalEvent.objects.get(kind="signing.restored").detail["delivered"] == 2
    assert {Job.objects.get(pk=one.pk).state for one in (first, second)} == {State.DELIVERED}


def test_it_is_delivered_charged_and_cleared_away(plus, tmp_path):
    job = held_clip(plus, tmp_path)
    due()
    assert held.drain(seconds=60) == 1
    job.refresh_from_db()
    assert (job.state, job.state_cause, job.charge_micro) == (
        State.DELIVERED,
        "signed after waiting",
        job.quote_micro,
    )
    assert Charge.objects.filter(usage_event__subject=str(job.pk)).count() == 1
    assert reconcile().drift == ()
    assert sorted(Asset.objects.values_list("role", flat=True)) == ["spritesheet", "thumbnail", "video"]
    assert not default_storage.exists(signing.unsigned_name(job, job.fence))
    assert UnsignedClip.objects.get().removed_at is not None
    states = JobEvent.objects.filter(job=job).order_by("pk").values_list("to_state", flat=True)
    assert list(states)[-3:] == ["finishing", "held", "delivered"]


def test_oldest_first_and_no_further_than_the_first_refusal(plus, tmp_path, settings, monkeypatch):
    jobs = [held_clip(plus, tmp_path, seed=seed) for seed in (1, 2, 3)]
    for age, job in enumerate((2, 3, 1)):  # the second waits longest
        Job.objects.filter(pk=jobs[age].pk).update(state_at=Now() - timedelta(minutes=job))
    order = []
    sign_all = signing.sign_all

    def signs_one(job, *rest):
        order.append(job.pk)
        if len(order) > 1:
            raise provenance.SigningUnavailable("gone again")
        return sign_all(job, *rest)

    monkeypatch.setattr(signing, "sign_all", signs_one)
    due()
    assert held.drain(seconds=60) == 1
    assert order == [jobs[1].pk, jobs[0].pk]
    assert Job.objects.filter(state=State.HELD).count() == 2


def test_after_a_refusal_it_rests_longer_each_time(plus, tmp_path, settings):
    held_clip(plus, tmp_path)
    down(settings)
    rests = []
    for _ in range(7):
        due()
        assert held.drain(seconds=60) == 0
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float FROM generation_signingoutage"
            )
            rests.append(round(cursor.fetchone()[0]))
        assert held.drain(seconds=60) == 0  # rests: not tried again
    assert rests == [4, 8, 16, 30, 30, 30, 30]
    assert SigningOutage.objects.get().tries == 8
    assert not Asset.objects.exists()
    assert kinds(kind="signing.down") == ["signing.down"]


def test_after_fifteen_minutes_by_the_databases_clock_it_fails_and_costs_nothing(
    plus, tmp_path, settings, monkeypatch
):
    down(settings)
    job = held_clip(plus, tmp_path)
    Job.objects.filter(pk=job.pk).update(state_at=Now() - timedelta(minutes=14, seconds=50))
    assert upkeep.expire_held() == 0
    Job.objects.filter(pk=job.pk).update(state_at=Now() - timedelta(minutes=15, seconds=1))
    assert upkeep.expire_held() == 1
    job.refresh_from_db()
    assert (job.state, job.error_code, job.charge_micro) == (State.FAILED, "internal_error", 0)
    assert Hold.objects.get(pk=job.hold_id).state != Hold.State.OPEN
    assert held.clear_leftovers() == 0  # too young to be anybody's leftover
    monkeypatch.setattr(held, "YOUNG", timedelta(0))
    assert held.clear_leftovers() == 1
    assert not default_storage.exists(signing.unsigned_name(job, job.fence))
    assert held.drain(seconds=60) == 0
    assert SigningOutage.objects.get().ended_at is not None


def test_what_still_waits_or_is_in_a_workers_hands_is_not_cleared_away(plus, tmp_path, monkeypatch):
    monkeypatch.setattr(held, "YOUNG", timedelta(0))
    job = held_clip(plus, tmp_path)
    other, lease, unsigned, _ = scanned_clip(plus, tmp_path, seed=2)
    signing.keep_unsigned(other, lease.fence, unsigned)
    assert held.clear_leftovers() == 0
    assert default_storage.exists(signing.unsigned_name(other, lease.fence))
    assert default_storage.exists(signing.unsigned_name(job, job.fence))


@pytest.mark.parametrize("trouble", ["missing", "changed"])
def test_a_file_that_is_not_the_one_that_was_scanned_is_given_up_and_holds_up_nobody(plus, tmp_path, trouble):
    job, other = held_clip(plus, tmp_path), held_clip(plus, tmp_path, seed=2)
    name = signing.unsigned_name(job, job.fence)
    content = default_storage.open(name).read()
    default_storage.delete(name)
    if trouble == "changed":
        default_storage.save(name, ContentFile(content[:-1] + bytes([content[-1] ^ 1])))
    due()
    assert held.drain(seconds=60) == 1
    job.refresh_from_db()
    assert (job.state, job.charge_micro) == (State.FAILED, 0)
    assert Job.objects.get(pk=other.pk).state == State.DELIVERED
    assert not Asset.objects.filter(job=job).exists()
    assert "held.unusable" in kinds(severity="critical")


def test_two_that_drain_at_once_don_not_sign_twice(plus, tmp_path):
    held_clip(plus, tmp_path)
    due()
    with connection.cursor() as cursor:
        # Another session drains; the lock belongs to a transaction, so it is taken in a connection of its own.
        other = connection.copy()
        with other.cursor() as theirs:
            theirs.execute("BEGIN")
            theirs.execute("SELECT pg_advisory_xact_lock(%s)", [held.DRAIN_LOCK])
            assert held.drain(seconds=60) == 0
            theirs.execute("ROLLBACK")
        other.close()
        cursor.execute("SELECT 1")
    assert not Credential.objects.exists()
    assert held.drain(seconds=60) == 1


def test_staff_let_it_be_tried_at_once(plus, tmp_path, settings):
    person = User.objects.create_user("safety@example.com")
    staff.grant(person, "trust_safety", "test", "for this test")
    with pytest.raises(ApiError, match="not known to be down"):
        RetrySigning().preview()
    held_clip(plus, tmp_path)
    assert held.drain(seconds=60) == 0  # it rests
    assert RetrySigning().preview().sentence.startswith("1 clips are tried")
    actions.perform(RetrySigning(), person, "the service was restarted")
    assert held.drain(seconds=60) == 1
