"""What the conformance tests of the clip calls stand on: a served application, a client, and clips that are there."""

import io
import uuid
from pathlib import Path

import numpy as np
import openai
import pytest
from PIL import Image

from generation.models import Job
from generation.worker.encoding import encode
from tests.generation.api_stage import Tenant, deliver, tenant
from tests.generation.live import serving
from tests.generation.test_input_pictures import able_model

WORDS = "A green square moves left over a blue wall"
PICTURES = {"thumbnail": b"a small picture", "spritesheet": b"a sheet of them"}
ABLE = {"prompt": "a wave", "model": "pocket-picture", "size": "64x48", "seconds": "1"}


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture(scope="module")
def address():
    with serving() as found:
        yield found


@pytest.fixture
def plus(db) -> Tenant:
    return tenant("plus")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """A clip of five frames that really decodes."""
    pixels = np.random.default_rng(5).integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    return encode(pixels, 5, tmp_path_factory.mktemp("film") / "clip.mp4").path


@pytest.fixture
def ready(plus, film, address):
    """A client that never sends twice by itself, and a delivered clip whose model can go on from it."""
    able_model()
    with openai.OpenAI(base_url=f"{address}/v1", api_key=plus.raw, max_retries=0, timeout=30) as client:
        video = client.videos.create(**ABLE)
        delivered(video.id, film.read_bytes())
        yield client, video.id


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def job_of(video_id: str) -> Job:
    return Job.objects.get(pk=uuid.UUID(video_id.removeprefix("video_")))


def delivered(video_id: str, film: bytes | None = None) -> Job:
    """The waiting clip, taken all the way with its pictures."""
    given = [film] if film else []
    return deliver(job_of(video_id), *given, own_digest=film is not None, pictures=PICTURES)
