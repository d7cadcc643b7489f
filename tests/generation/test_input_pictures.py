"""A clip that begins from a picture: refused early where no model can, else screened before it is queued."""

import hashlib
import io
import json

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from PIL import Image

from accounts.models import OperationalEvent, OutboxEvent
from billing.models import Charge, Hold
from billing.reconciliation import reconcile
from generation import cancellation, dispatch, upkeep
from generation.inputs import input_images, screening
from generation.inputs.input_records import InputImage
from generation.models import Asset, Job, Pool, RegisteredModel, State
from generation.worker import loop
from generation.worker.station import Station
from safety.models import Credential, Scan
from safety.postfilter import canary, gates
from tests.generation.api_stage import CLIP, counts, job_of, make_clip, media_folder, tenant, worker
from tests.generation.rollout_stage import serve
from tests.generation.test_api_errors import error_of

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

NOISE = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _new_gates():
    gates._made.cache_clear()
    yield
    gates._made.cache_clear()


@pytest.fixture
def plus():
    return tenant("plus")


def able_model(folder: str = "nowhere", **facts) -> RegisteredModel:
    """An active model that begins from a picture."""
    facts = {"sizes": ["64x48"], "seconds": [1], "fps": 5, "guidance": 4.0, "image_to_video": True} | facts
    model = RegisteredModel.objects.create(
        name="pocket-picture",
        revision="r1",
        kind="clip",
        pool_id="clips",
        folder=folder,
        precision="fp32",
        gpu_ms_per_step=10,
        facts=facts,
    )
    return serve(model)


@pytest.fixture
def able():
    return able_model()


def sent(pixels: np.ndarray = NOISE, kind: str = "PNG") -> SimpleUploadedFile:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return SimpleUploadedFile("photo", file.getvalue(), f"image/{kind.lower()}")


def marked(name: str = "child_safety") -> SimpleUploadedFile:
    return sent(canary.paint(np.zeros((64, 64, 3), np.uint8), name))


FIELDS = {"model": "pocket-picture", "size": "64x48", "seconds": "1"}


@pytest.fixture
def submitted(client, plus, able):
    """A clip through HTTP that begins from a picture."""

    def submit(picture: SimpleUploadedFile | None = None, **fields) -> Job:
        return job_of(make_clip(client, plus, **FIELDS, **fields, input_reference=picture or sent()))

    return submit


def held(job: Job) -> bool:
    return Hold.objects.get(pk=job.hold_id).resolved_at is None


def refusal(client, plus, **fields) -> dict:
    before = counts(plus)
    response = client.post("/v1/videos", {**CLIP, **fields}, headers=plus.auth)
    assert counts(plus) == before
    assert not InputImage.objects.exists()
    assert not default_storage.exists("inputs") or default_storage.listdir("inputs") == ([], [])
    return error_of(response)


def test_a_model_that_begins_from_text_names_those_that_can(client, plus, able):
    error = refusal(client, plus, input_reference=sent())
    assert (error["code"], error["param"]) == ("invalid_value", "input_reference")
    assert "begin from a picture: pocket-picture." in error["message"]


def test_a_model_that_needs_a_picture_says_so(client, plus):
    able_model(needs_image=True)
    error = refusal(client, plus, **FIELDS)
    assert (error["code"], error["param"]) == ("missing_required_parameter", "input_reference")


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (SimpleUploadedFile("a.png", b"no picture"), "invalid_image"),
        (
            SimpleUploadedFile("a.png", sent(np.zeros((300, 400, 3), np.uint8), "JPEG").read()[:-9]),
            "invalid_image",
        ),
        ("https://example.com/a.png", "invalid_type"),
    ],
)
def test_what_is_no_picture_is_refused_and_leaves_nothing(client, plus, able, picture, code):
    assert refusal(client, plus, **FIELDS, input_reference=picture)["code"] == code


def test_a_refused_prompt_leaves_no_picture(client, plus, able):
    response = client.post(
        "/v1/videos",
        {**CLIP, **FIELDS, "prompt": "BACKLOT-CANARY-VIOLENCE", "input_reference": sent()},
        headers=plus.auth,
    )
    assert error_of(response)["code"] == "moderation_blocked"
    assert not default_storage.exists("inputs") or default_storage.listdir("inputs") == ([], [])


def test_it_waits_in_screening_with_its_hold_and_no_worker_can_have_it(submitted, client, plus):
    job = submitted()
    assert (job.state, held(job)) == (State.SCREENING, True)
    image = job.input_image
    assert (image.digest, image.width, image.height) == (job.spec["image"], 64, 48)
    with default_storage.open(image.path) as file:
        assert hashlib.sha256(file.read()).hexdigest() == image.digest
    assert np.array_equal(input_images.pixels(job), NOISE)
    assert dispatch.claim(worker(), "clips") is None
    shown = client.get(f"/v1/videos/{job.public_id}", headers=plus.auth).json()
    assert (shown["status"], shown["backlot"]["stage"]) == ("queued", "screening")
    assert client.get(default_storage.url(image.path)).status_code == 404


def test_the_same_key_with_the_same_picture_is_the_same_job(client, plus, able):
    def post(picture):
        fields = {**CLIP, **FIELDS, "seed": 4, "input_reference": picture}
        return client.post("/v1/videos", fields, headers={**plus.auth, "Idempotency-Key": "k1"})

    first, again, other = post(sent()), post(sent()), post(sent(NOISE[::-1].copy()))
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, error_of(other)["code"]) == (409, "idempotency_key_reused")
    assert (Job.objects.count(), InputImage.objects.count()) == (1, 1)
    assert len(default_storage.listdir("inputs")[0]) == 1


def test_a_passed_scan_queues_it(submitted):
    job = submitted()
    assert screening.run_waiting("clips") == 1
    job.refresh_from_db()
    assert (job.state, job.state_cause, held(job)) == (State.QUEUED, "its picture passed the gates", True)
    scan = Scan.objects.get(subject=str(job.pk))
    assert (scan.purpose, scan.verdict, scan.digest) == ("input", "pass", job.spec["image"])
    assert scan.fence == job.input_image.fence
    assert dispatch.claim(worker(), "clips").job_id == job.pk
    assert screening.run_waiting("clips") == 0


def test_a_blocked_picture_ends_it_uncharged_with_the_alarm(submitted):
    job = submitted(marked())
    screening.run_waiting("clips")
    job.refresh_from_db()
    assert (job.state, job.error_code, job.charge_micro, held(job)) == (
        "blocked",
        "moderation_blocked",
        0,
        False,
    )
    assert job.error_message == "The picture was refused (child_safety). Nothing was charged."
    assert OperationalEvent.objects.filter(kind="safety.frames_blocked", severity="critical").exists()
    assert OperationalEvent.objects.filter(kind="screening.block", subject=f"job:{job.pk}").exists()
    assert OutboxEvent.objects.filter(topic="video.failed").count() == 1
    assert dispatch.claim(worker(), "clips") is None
    assert reconcile().drift == ()


def test_its_file_goes_when_it_has_ended_and_the_digest_stays(submitted):
    job, other = submitted(marked()), submitted()
    path, kept = job.input_image.path, other.input_image.path
    screening.run_waiting("clips")
    assert input_images.purge_ended() == 1
    assert not default_storage.exists(path)
    assert default_storage.exists(kept)
    row = InputImage.objects.get(pk=job.pk)
    assert row.removed_at is not None
    assert len(row.digest) == 64


@pytest.mark.parametrize("gate", ["Failing", "Dying", "Nonsense", "Unprepared", "Hung"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Dying does
def test_a_gate_that_fails_keeps_it_out_and_after_three_tries_ends_it_uncharged(submitted, settings, gate):
    settings.SAFETY_GATES = [*gates.SHIPPED, f"tests.safety.broken_gates.{gate}"]
    settings.SAFETY_GATE_SECONDS = 0.2 if gate == "Hung" else 20
    job = submitted()
    for tries in (1, 2, 3):
        InputImage.objects.update(lease_expires_at=None)
        screening.run_waiting("clips")
        job.refresh_from_db()
        assert (job.state, held(job)) == ((State.SCREENING, True) if tries < 3 else (State.FAILED, False))
        assert dispatch.claim(worker(), "clips") is None
    assert (job.error_code, job.charge_micro) == ("internal_error", 0)
    assert OperationalEvent.objects.filter(kind="safety.scan_unavailable").count() == 3
    assert OperationalEvent.objects.filter(kind="screening.failed", severity="error").count() == 1


def test_a_picture_that_was_changed_in_storage_is_never_passed(submitted):
    job = submitted()
    path = job.input_image.path
    default_storage.delete(path)
    default_storage.save(path, sent(NOISE[::-1].copy()))
    screening.run_waiting("clips")
    job.refresh_from_db()
    assert job.state == State.SCREENING
    assert Scan.objects.get().verdict == "unavailable"
    with pytest.raises(OSError, match="not what was stored"):
        input_images.pixels(job)


def test_a_lost_worker_s_word_no_longer_counts(submitted):
    job = submitted(marked())
    lost = screening.take("clips")
    assert screening.take("clips") is None, "it is under a lease"
    InputImage.objects.update(lease_expires_at=Now())
    assert screening.run_waiting("clips") == 1
    assert screening.screen(lost) is False
    job.refresh_from_db()
    assert job.state == State.BLOCKED
    assert Charge.objects.filter(usage_event__subject=str(job.pk)).count() == 1


def test_three_lost_workers_or_nobody_at_all_end_it(submitted):
    job, waiting = submitted(), submitted()
    for _ in range(3):
        InputImage.objects.filter(pk=job.pk).update(lease_expires_at=None)
        assert screening.take("clips").job_id == job.pk
        InputImage.objects.filter(pk=waiting.pk).update(lease_expires_at=Now() + upkeep.timedelta(hours=1))
    InputImage.objects.filter(pk=job.pk).update(lease_expires_at=None)
    screening.run_waiting("clips")
    job.refresh_from_db()
    assert (job.state, held(job)) == (State.FAILED, False)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE generation_job SET state_at = now() - interval '16 minutes' WHERE id = %s", [waiting.pk]
        )
    assert screening.end_overdue() == 1
    waiting.refresh_from_db()
    assert (waiting.state, waiting.charge_micro, held(waiting)) == (State.FAILED, 0, False)


def test_cancelled_while_it_is_screened_it_costs_nothing_and_stays_cancelled(submitted):
    job = submitted()
    turn = screening.take("clips")
    cancellation.cancel(job, "cancelled by its owner")
    assert screening.screen(turn) is False
    job.refresh_from_db()
    assert (job.state, job.charge_micro, held(job)) == (State.CANCELLED, 0, False)


def refused_by_database(sql: str, *values) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(caught.value)


def test_the_database_queues_no_job_whose_picture_has_not_passed(submitted):
    job = submitted()
    queue = "UPDATE generation_job SET state = 'queued', state_cause = 'by hand' WHERE id = %s"
    assert "no scan of its picture has passed" in refused_by_database(queue, job.pk)
    other = submitted(sent(NOISE[::-1].copy()))
    screening.run_waiting("clips")
    other.refresh_from_db()
    changed = "UPDATE generation_inputimage SET digest = %s WHERE job_id = %s"
    assert "cannot change" in refused_by_database(changed, "a" * 64, other.pk)
    assert "cannot change" in refused_by_database(
        "UPDATE generation_job SET spec = '{}' WHERE id = %s", other.pk
    )


def test_from_a_picture_to_a_signed_clip_that_names_it(client, plus, settings, tmp_path):
    from generation.engines.facts import FACTS_FILE
    from tests.generation.tiny_models import write_video_model

    settings.CHECKPOINT_ROOT, settings.WORK_ROOT = tmp_path / "checkpoints", tmp_path / "work"
    folder = write_video_model(tmp_path / "model", frames_per_latent=4, kind="picture")
    (folder / FACTS_FILE).write_text(
        json.dumps(
            {
                "max_sequence_length": 64,
                "image_to_video": True,
                "width": 64,
                "height": 48,
                "fps": 5,
                "frames": 5,
            }
        )
    )
    able_model(str(folder), needs_image=True, steps_most=3)
    job = job_of(make_clip(client, plus, **FIELDS, input_reference=sent()))
    station = Station(Pool.objects.get(pk="clips"), slots=1, finishing=0)
    assert loop.work(station) == 1
    station.close()
    job.refresh_from_db()
    assert (job.state, job.state_cause) == (State.DELIVERED, "scanned, signed and verified")
    assert [scan.purpose for scan in Scan.objects.filter(subject=str(job.pk)).order_by("pk")][0] == "input"
    credential = Credential.objects.get(signed_digest=Asset.objects.get(job=job, role="video").digest)
    assert (credential.state, credential.claims["ingredient_sha256"]) == ("Trusted", job.spec["image"])
    assert input_images.purge_ended() == 1
