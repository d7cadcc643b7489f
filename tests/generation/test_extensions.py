"""An extension begins from the last frame of an own delivered clip: looked at first, and named in the credentials."""

import hashlib
import io
import json
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from PIL import Image

from accounts.errors import ApiError
from generation.inputs import screening
from generation.lineage.last_frame import last_frame
from generation.lineage.parents import Parent
from generation.lineage.records import Relation
from generation.models import Asset, Job, Pool, State
from generation.retention import removal
from generation.worker import loop
from generation.worker.encoding import decode_frames, encode
from generation.worker.station import Station
from safety.models import Credential, Scan
from tests.generation.api_stage import (
    CLIP,
    counts,
    deliver,
    job_of,
    make_clip,
    media_folder,
    tenant,
    withdraw,
)
from tests.generation.queueing import caller
from tests.generation.test_api_errors import error_of
from tests.generation.test_input_pictures import able_model

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

# Long enough to have more than one key frame.
PIXELS = np.random.default_rng(5).integers(0, 256, (300, 48, 64, 3), dtype=np.uint8)
ABLE = {"model": "pocket-picture", "size": "64x48", "seconds": "1"}
WORDS = "and then it stops"


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> bytes:
    return encode(PIXELS, 5, tmp_path_factory.mktemp("film") / "clip.mp4").path.read_bytes()


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.fixture
def able():
    return able_model()


@pytest.fixture
def made(client, plus, able, film) -> Job:
    return deliver(job_of(make_clip(client, plus, **ABLE)), film, own_digest=True)


def extend(client, plus, video, key: str | None = None, **fields):
    """As the stock client sends it: a form, where an object's id is `video[id]`."""
    named = video if isinstance(video, dict) else {"video": video}
    headers = {**plus.auth, **({"Idempotency-Key": key} if key else {})}
    body = {"prompt": WORDS, "seconds": "1", **named, **fields}
    return client.post("/v1/videos/extensions", body, headers=headers)


def test_the_last_frame_is_that_of_the_file(film, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(film)
    with Image.open(io.BytesIO(last_frame(film))) as picture:
        assert np.array_equal(np.asarray(picture), decode_frames(path)[-1])
    with pytest.raises(OSError, match="could not be decoded"):
        last_frame(b"no film")


@pytest.mark.parametrize("way", ["id", "object", "json", "file"])
def test_it_waits_for_its_picture_to_be_looked_at_and_names_its_parent(client, plus, made, film, way):
    if way == "json":
        body = {"prompt": WORDS, "seconds": 1, "video": {"id": made.public_id}}
        options = {"content_type": "application/json", "headers": plus.auth}
        answer = client.post("/v1/videos/extensions", body, **options)
    else:
        ways = {"id": made.public_id, "object": {"video[id]": made.public_id}}
        answer = extend(client, plus, ways.get(way) or SimpleUploadedFile("x.mp4", film, "video/mp4"))
    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert (shown["backlot"]["extends"], shown["remixed_from_video_id"]) == (made.public_id, None)
    assert (shown["status"], shown["backlot"]["stage"]) == ("queued", "screening")
    assert (shown["model"], shown["size"], shown["prompt"]) == ("pocket-picture", "64x48", WORDS)
    job = job_of(shown)
    assert (job.parent_id, job.parent_relation, job.state) == (made.pk, "extension", State.SCREENING)
    listed = client.get("/api/jobs", {"limit": 1}, headers=plus.auth).json()["data"][0]
    assert (listed["id"], listed["parent"]["relation"]) == (shown["id"], "extension")
    assert listed["parent"]["id"] == made.public_id
    assert (
        job.input_image.sent_digest == Asset.objects.get(job=made).digest == hashlib.sha256(film).hexdigest()
    )
    assert screening.run_waiting("clips") == 1
    scan = Scan.objects.get(subject=str(job.pk))
    assert (scan.purpose, scan.verdict, scan.digest) == ("input", "pass", job.spec["image"])


def test_a_model_that_begins_from_text_says_so_by_name(client, plus):
    made = deliver(job_of(make_clip(client, plus)))
    before = counts(plus)
    refused = extend(client, plus, made.public_id, seconds="2")
    assert (refused.status_code, error_of(refused)["code"]) == (501, "not_implemented")
    assert "pocket-video makes clips from text alone" in error_of(refused)["message"]
    assert refused.headers["X-Should-Retry"] == "false"
    able_model()
    refused = extend(client, plus, made.public_id, seconds="2")
    assert (refused.status_code, error_of(refused)["param"]) == (400, "video")
    assert "begin from a picture: pocket-picture." in error_of(refused)["message"]
    assert counts(plus) == before
    assert not default_storage.exists("inputs")


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("open", 409, "not_ready"),
        ("withheld", 409, "not_ready"),
        ("withdrawn", 410, "content_withdrawn"),
        ("quarantined", 410, "content_withdrawn"),
        ("expired", 410, "content_expired"),
        ("changed", 410, "content_withdrawn"),
        ("lost", 404, "not_found"),
        ("deleted", 404, "not_found"),
    ],
)
def test_only_a_clip_that_may_be_delivered_now_is_extended(client, plus, able, film, what, status, code):
    job = job_of(make_clip(client, plus, **ABLE))
    if what != "open":
        deliver(job, film, own_digest=True)
    spoil(job, plus, what)
    before = counts(plus)
    refused = extend(client, plus, job.public_id)
    assert (refused.status_code, error_of(refused)["code"]) == (status, code)
    assert counts(plus) == before
    assert not default_storage.exists("inputs") or default_storage.listdir("inputs") == ([], [])


def spoil(job: Job, plus, what: str) -> None:
    assets = Asset.objects.filter(job=job)
    if what in ("withheld", "quarantined"):
        assets.update(**{f"{what}_at": Now()})
    elif what == "withdrawn":
        withdraw(job)
    elif what == "expired":
        Job.objects.filter(pk=job.pk).update(expires_at=F("finished_at") + timedelta(milliseconds=1))
    elif what in ("changed", "lost"):
        path = assets.get().path
        default_storage.delete(path)
        if what == "changed":
            default_storage.save(path, ContentFile(b"another film"))
    elif what == "deleted":
        removal.delete(job, caller(plus))


def test_neither_anothers_clip_nor_anothers_file_nor_any_file_is_taken(client, made, film):
    other = tenant("plus")
    before = counts(other)
    refused = extend(client, other, made.public_id)
    assert (refused.status_code, error_of(refused)["param"]) == (404, "video")
    for content in (film, b"any film"):
        refused = extend(client, other, SimpleUploadedFile("x.mp4", content, "video/mp4"))
        assert (refused.status_code, error_of(refused)["code"]) == (400, "invalid_value")
    for video in ({}, {"video": ""}):
        refused = extend(client, other, video)
        assert (refused.status_code, error_of(refused)["param"]) == (400, "video")
    assert counts(other) == before


def test_a_key_repeats_one_extension(client, plus, made):
    first, again = extend(client, plus, made.public_id, "k"), extend(client, plus, made.public_id, "k")
    assert first.json()["id"] == again.json()["id"]
    assert len(default_storage.listdir("inputs")[0]) == 1
    assert extend(client, plus, made.public_id, "k", seconds="1", seed="4").status_code == 409


def test_the_database_takes_no_extension_of_what_is_not_delivered(client, plus, made):
    job = job_of(extend(client, plus, made.public_id).json())
    copied = ", ".join(field.column for field in Job._meta.concrete_fields if field.column != "id")
    copy = f"SELECT gen_random_uuid(), {copied} FROM generation_job WHERE id = %s"
    Asset.objects.filter(job=made).update(quarantined_at=Now())
    with (
        pytest.raises(DatabaseError, match="may not be delivered now"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"INSERT INTO generation_job (id, {copied}) {copy}", [job.pk])
    with pytest.raises(ApiError, match="content_withdrawn"):
        Parent(made, Relation.EXTENSION).require_now()


def test_from_a_clip_to_a_signed_one_that_goes_on_from_it(client, plus, settings, tmp_path):
    from generation.engines.facts import FACTS_FILE
    from tests.generation.tiny_models import write_video_model

    settings.CHECKPOINT_ROOT, settings.WORK_ROOT = tmp_path / "checkpoints", tmp_path / "work"
    folder = write_video_model(tmp_path / "model", frames_per_latent=4, kind="time per token")
    facts = {
        "max_sequence_length": 64,
        "image_to_video": True,
        "width": 64,
        "height": 48,
        "fps": 5,
        "frames": 5,
    }
    (folder / FACTS_FILE).write_text(json.dumps(facts))
    able_model(str(folder), steps_most=3)
    first = job_of(make_clip(client, plus, **{**CLIP, **ABLE}))
    station = Station(Pool.objects.get(pk="clips"), slots=1, finishing=0)
    assert loop.work(station) == 1
    second = job_of(extend(client, plus, first.public_id).json())
    assert loop.work(station) == 1
    station.close()
    first.refresh_from_db()
    second.refresh_from_db()
    assert [first.state, second.state] == [State.DELIVERED, State.DELIVERED]
    credential = Credential.objects.get(signed_digest=Asset.objects.get(job=second, role="video").digest)
    assert (credential.state, credential.claims["ingredient_sha256"]) == ("Trusted", second.spec["image"])
    with default_storage.open(Asset.objects.get(job=first, role="video").path, "rb") as file:
        content = file.read()
    (tmp_path / "first.mp4").write_bytes(content)
    with default_storage.open(second.input_image.path, "rb") as file, Image.open(file) as picture:
        assert np.array_equal(np.asarray(picture), decode_frames(tmp_path / "first.mp4")[-1])
