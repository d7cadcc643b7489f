"""Files are kept as long as was promised at delivery; then links are dead, upkeep deletes, and the record stays."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import actions
from accounts.errors import ApiError
from accounts.models import AuditEntry, OperationalEvent, OutboxEvent
from billing.reconciliation import reconcile
from generation import delivery
from generation.models import Asset, FileRemoval, FileRetention, Job, State
from generation.retention import expiry, removal
from generation.retention.actions import ChangeFileRetention
from safety.review import queue as review
from tests.console.people import operator
from tests.generation.api_stage import FILM, deliver, job_of, make_clip, media_folder, tenant
from tests.generation.queueing import caller, submit
from tests.generation.test_api_errors import error_of

__all__ = ["media_folder"]  # a fixture
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("media_folder"),
    # The test client is synchronous.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators"),
]

PICTURES = {"thumbnail": b"a small picture", "spritesheet": b"a sheet of them"}
VARIANTS = ("video", *PICTURES)


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.fixture
def made(client, plus) -> Job:
    return deliver(job_of(make_clip(client, plus, seed=7)), pictures=PICTURES)


def age(job: Job) -> Job:
    """As if its files had been kept for as long as was promised."""
    Job.objects.filter(pk=job.pk).update(expires_at=F("finished_at") + timedelta(milliseconds=1))
    job.refresh_from_db()
    return job


def content(client, plus, job: Job, variant: str = "video"):
    address = f"/v1/videos/{job.public_id}/content"
    return client.get(address, {"variant": variant}, headers=plus.auth)


def paths(job: Job) -> list[str]:
    return list(Asset.objects.filter(job=job).order_by("pk").values_list("path", flat=True))


@pytest.mark.parametrize(("tier", "days"), [("free", 7), ("plus", 30), ("pro", 90), ("enterprise", 365)])
def test_how_long_is_set_with_the_delivery_by_the_tier(client, tier, days):
    owner = tenant(tier)
    job = job_of(make_clip(client, owner))
    assert client.get(f"/v1/videos/{job.public_id}", headers=owner.auth).json()["expires_at"] is None, (
        "not before it is delivered"
    )
    job = deliver(job)
    assert job.expires_at - job.finished_at == timedelta(days=days)
    shown = client.get(f"/v1/videos/{job.public_id}", headers=owner.auth).json()
    assert shown["expires_at"] - shown["completed_at"] == days * 86_400


def test_no_days_keep_them(client, plus):
    FileRetention.objects.filter(tier="plus").update(days=None)
    job = deliver(job_of(make_clip(client, plus)))
    assert job.expires_at is None
    assert expiry.run() == 0
    assert content(client, plus, job).status_code == 302


def test_each_variant_is_served_by_a_link_that_lives_a_minute(client, plus, made):
    for variant, expected in {"video": FILM, **PICTURES}.items():
        link = content(client, plus, made, variant)
        assert (link.status_code, link.headers["Cache-Control"]) == (302, "no-store")
        file = client.get(link.headers["Location"])
        assert b"".join(file) == expected
        kinds = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
        assert file.headers["Content-Type"] == kinds[variant]


def test_links_are_dead_from_that_moment_on_whatever_upkeep_does(client, plus, made):
    links = [content(client, plus, made, variant).headers["Location"] for variant in VARIANTS]
    age(made)
    for variant, link in zip(VARIANTS, links, strict=True):
        for response in (content(client, plus, made, variant), client.get(link)):
            assert (response.status_code, error_of(response)["code"]) == (410, "content_expired")
    assert "The record of the job and its charge stays" in error_of(response)["message"]
    assert all(default_storage.exists(path) for path in paths(made))
    shown = client.get(f"/v1/videos/{made.public_id}", headers=plus.auth).json()
    assert (shown["status"], shown["backlot"]["charge_micro"]) == ("completed", made.charge_micro)


def test_upkeep_deletes_what_is_due_and_nothing_else(
    client, plus, made, settings, tmp_path, django_capture_on_commit_callbacks
):
    settings.CDN_PURGE, settings.CHECKPOINT_ROOT = "tests.generation.nowhere", tmp_path / "checkpoints"
    kept = deliver(job_of(make_clip(client, plus, seed=8)), pictures=PICTURES)
    default_storage.save(f"previews/{made.pk}/1/step-0010.webp", ContentFile(b"a preview"))
    left = settings.CHECKPOINT_ROOT / str(made.pk) / "1"
    left.mkdir(parents=True)
    charge, gone = made.charge_micro, paths(age(made))
    with django_capture_on_commit_callbacks(execute=True):
        assert expiry.run() == 1
    assert [default_storage.exists(path) for path in gone] == [False] * 3
    assert not default_storage.exists(f"previews/{made.pk}")
    assert not left.parent.exists()
    assert all(default_storage.exists(path) for path in paths(kept))
    removed = FileRemoval.objects.get()
    assert (removed.job_id, removed.cause, removed.done_at is not None) == (made.pk, "expired", True)
    assert [file["role"] for file in removed.files] == list(VARIANTS)
    told = OutboxEvent.objects.get(topic="cdn.purge").payload["urls"]
    assert [*gone, f"/v1/videos/{made.public_id}/content?variant=thumbnail"] == [*told[:3], told[5]]
    made.refresh_from_db()
    assert (made.state, made.charge_micro, made.deleted_at) == (State.DELIVERED, charge, None)
    assert error_of(content(client, plus, made))["code"] == "content_expired"
    assert expiry.run() == 0
    assert reconcile().drift == ()


def test_a_killed_round_is_finished_by_the_next(client, plus, made):
    """The commit was the last thing that happened: files are there, nobody gets them, and the next round deletes."""
    expiry._expire(age(made).pk)
    assert default_storage.exists(paths(made)[0])
    assert FileRemoval.objects.get().done_at is None
    assert removal.settle_pending() == 1
    assert not default_storage.exists(f"clips/{made.pk}")
    assert (removal.settle_pending(), expiry.run()) == (0, 0)


def test_storage_that_refuses_is_told_once_and_asked_again(client, plus, made, media_folder):
    blocked = media_folder / "clips" / str(made.pk)
    expiry._expire(age(made).pk)
    blocked.rename(blocked.with_name("away"))
    blocked.write_text("a file where the folder was")
    assert removal.settle_pending() == removal.settle_pending() == 0
    assert OperationalEvent.objects.filter(kind="media.not_deleted", subject=f"job:{made.pk}").count() == 1
    blocked.unlink()
    blocked.with_name("away").rename(blocked)
    assert removal.settle_pending() == 1
    assert not blocked.exists()


def test_files_that_people_look_at_stay_until_they_have_decided(client, plus, made):
    Asset.objects.filter(job=made).update(withheld_at=Now())
    age(made)
    assert expiry.run() == 0
    assert default_storage.exists(paths(made)[0])
    with pytest.raises(ApiError, match="not_ready"):
        removal.delete(made, caller(plus))
    Asset.objects.filter(job=made).update(withheld_at=None)
    assert expiry.run() == 1


def test_a_clip_that_waits_for_people_keeps_its_files_until_they_have_decided(made):
    digest = Asset.objects.get(job=made, role="video").digest
    asked = {"kind": "report", "review_class": "violence", "why": "somebody reported it"}
    item = review.open_item(str(made.pk), digest, **asked)
    age(made)
    assert expiry.run() == 0
    review.close(item, "returned", confirmed=True)
    assert expiry.run() == 1


def test_a_deletion_takes_variants_previews_and_links_with_it(
    client, plus, made, settings, django_capture_on_commit_callbacks
):
    settings.CDN_PURGE = "tests.generation.nowhere"
    default_storage.save(f"previews/{made.pk}/1/step-0010.webp", ContentFile(b"a preview"))
    links = [content(client, plus, made, variant).headers["Location"] for variant in VARIANTS]
    with django_capture_on_commit_callbacks(execute=True):
        assert client.delete(f"/v1/videos/{made.public_id}", headers=plus.auth).json()["deleted"] is True
    assert [client.get(link).status_code for link in links] == [404] * 3
    assert [default_storage.exists(f"{root}/{made.pk}") for root in ("clips", "previews")] == [False, False]
    assert FileRemoval.objects.get().cause == "deleted"
    assert OutboxEvent.objects.filter(topic="cdn.purge").count() == 1
    assert AuditEntry.objects.filter(action="job.delete").count() == 1
    assert Job.objects.get(pk=made.pk).charge_micro == made.charge_micro
    assert client.get(f"/v1/videos/{made.public_id}", headers=plus.auth).status_code == 404


def test_what_has_expired_can_still_be_deleted(client, plus, made, django_capture_on_commit_callbacks):
    age(made)
    with django_capture_on_commit_callbacks(execute=True):
        expiry.run()
        removal.delete(made, caller(plus))
    assert FileRemoval.objects.get().cause == "expired"
    assert client.get(f"/v1/videos/{made.public_id}", headers=plus.auth).status_code == 404


def test_a_repeat_ends_with_its_original_and_what_is_soon_gone_is_made_anew(client, plus, made):
    words = {"prompt": made.prompt, "size": "64x64", "seconds": "2", "seed": 7}
    again = submit(plus, **words)
    assert (again.repeat_of_id, again.expires_at) == (made.pk, made.expires_at)
    age(made), age(again)
    with pytest.raises(ApiError) as refused:
        delivery.clip_link(Job.objects.select_related("repeat_of").get(pk=again.pk))
    assert refused.value.code == "content_expired"
    assert submit(plus, **words).state == State.QUEUED


def refused_by_database(sql: str, *values) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(caught.value)


def test_the_database_lets_no_file_go_too_early_and_no_record_of_it_change(client, plus, made):
    insert = "INSERT INTO generation_fileremoval (job_id, cause, files) VALUES (%s, %s, '[]')"
    for cause in ("expired", "deleted"):
        assert "not to go now" in refused_by_database(insert, made.pk, cause)
    early = "UPDATE generation_job SET expires_at = finished_at WHERE id = %s"
    assert "job_expires_after_its_end" in refused_by_database(early, made.pk)
    expiry._expire(age(made).pk)
    back = "UPDATE generation_job SET files_removed_at = NULL WHERE id = %s"
    assert "cannot change" in refused_by_database(back, made.pk)
    for sql in (
        "UPDATE generation_fileremoval SET files = '[1]' WHERE job_id = %s",
        "DELETE FROM generation_fileremoval WHERE job_id = %s",
    ):
        assert "stays as it was written" in refused_by_database(sql, made.pk)


def test_an_operator_changes_it_for_what_is_delivered_from_then_on(client, plus, made):
    _, person = operator()
    change = ChangeFileRetention("plus", 3)
    assert "kept 3 days after delivery instead of 30 days" in change.preview().sentence
    with pytest.raises(ApiError, match="reason"):
        actions.perform(change, person, " ")
    entry = actions.perform(change, person, "the disks are full")
    later = deliver(job_of(make_clip(client, plus)))
    assert later.expires_at - later.finished_at == timedelta(days=3)
    assert Job.objects.get(pk=made.pk).expires_at == made.expires_at
    actions.revert(change, entry, person, "there is room again")
    assert FileRetention.objects.get(tier="plus").days == 30
    kept = FileRetention.events.field.model.objects.filter(tier="plus").order_by("-pgh_id")
    assert list(kept.values_list("days", "author")[:2]) == [(30, person.email), (3, person.email)]
    for days in (0, 4000, 30):
        with pytest.raises(ApiError):
            ChangeFileRetention("plus", days).preview()


def test_the_folder_of_a_job_is_all_that_goes(client, plus, made, media_folder):
    beside = Path(media_folder) / "clips" / f"{made.pk}0"
    beside.mkdir(parents=True)
    expiry._expire(age(made).pk)
    removal.settle_pending()
    assert beside.exists()
