"""Every clip call of the stock client against workers that really make the clips, both its ways.

A model that begins from a picture is registered beside the shipped one, a tiny one with random weights: what is looked
at is the way of its clips, not how they look.
"""

import asyncio
import io
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openai
import pytest
from PIL import Image

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

NAME = "tiny-picture"
WORDS = "a blue square moving right over sand"
OTHER_WORDS = "a red circle moving left over sand"
ABLE = {"model": NAME, "size": "64x48", "seconds": "1"}
REGISTER = """
from generation.models import RegisteredModel
from tests.generation.rollout_stage import serve
facts = {{"sizes": ["64x48"], "seconds": [1], "fps": 5, "guidance": 4.0, "image_to_video": True, "steps_most": 3}}
serve(RegisteredModel.objects.create(name={name!r}, revision="r1", kind="clip", pool_id="clips", folder={folder!r},
      precision="fp32", gpu_ms_per_step=10, facts=facts))
"""
RETIRE = """
from generation.models import RegisteredModel
RegisteredModel.objects.filter(name={name!r}).update(status="retired")
"""


@pytest.fixture(scope="module")
def able(live):
    """A served model that may begin from a picture."""
    from generation.engines.facts import FACTS_FILE
    from tests.generation.tiny_models import write_video_model

    folder = write_video_model(live.home / "tiny-picture", frames_per_latent=4, kind="time per token")
    facts = {
        "max_sequence_length": 64,
        "image_to_video": True,
        "width": 64,
        "height": 48,
        "fps": 5,
        "frames": 5,
    }
    (folder / FACTS_FILE).write_text(json.dumps(facts))
    live.manage("shell", "-c", REGISTER.format(name=NAME, folder=str(folder)))
    yield NAME
    live.manage("shell", "-c", RETIRE.format(name=NAME))


@pytest.fixture(scope="module")
def key(live):
    return live.api_key("pro-demo")


@pytest.fixture(scope="module")
def client(live, key):
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=key, timeout=120) as made:
        yield made


@pytest.fixture(scope="module")
def first(client):
    """One real clip for all tests here."""
    video = client.videos.create_and_poll(prompt=WORDS, model="pocket-video", extra_body={"seed": 11})
    assert video.status == "completed", video
    return video


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def trusted(live, path: Path) -> None:
    assert "Trusted" in live.manage("verify_clip", str(path)), path


def test_every_variant_is_downloaded_with_credentials_that_verify(client, live, first, tmp_path):
    for variant, name in (("video", "clip.mp4"), ("thumbnail", "thumb.webp"), ("spritesheet", "sheet.jpg")):
        client.videos.download_content(first.id, variant=variant).write_to_file(tmp_path / name)
        trusted(live, tmp_path / name)
    assert first.expires_at - first.completed_at == 90 * 86_400


def test_a_remix_is_made_with_the_same_seed(client, first):
    video = client.videos.poll(client.videos.remix(first.id, prompt=OTHER_WORDS).id)
    assert (video.status, video.remixed_from_video_id, video.prompt) == ("completed", first.id, OTHER_WORDS)
    assert video.model_extra["backlot"]["seed"] == 11
    same = client.videos.remix(first.id, prompt=WORDS)
    assert (same.status, same.model_extra["backlot"]["repeat_of"]) == ("completed", first.id)
    assert client.videos.download_content(same.id).content == client.videos.download_content(first.id).content


def test_lists_are_walked_by_the_client_itself(client, first):
    ids = [video.id for video in client.videos.list(limit=1)]
    assert first.id in ids
    assert ids == [video.id for video in client.videos.list(limit=100)]
    assert ids == [video.id for video in client.videos.list(order="asc")][::-1]


def test_a_model_that_begins_from_text_is_named_where_it_can_not_go_on(client, first, able):
    with pytest.raises(openai.BadRequestError) as raised:
        client.videos.extend(prompt="on", seconds="2", video=client.videos.download_content(first.id).content)
    assert raised.value.code == "invalid_value"
    assert "pocket-video makes clips from text alone" in raised.value.message
    assert NAME in raised.value.message
    with pytest.raises(openai.InternalServerError) as raised:
        client.videos.edit(prompt="on", video=b"film")
    assert (raised.value.status_code, raised.value.code) == (501, "not_implemented")


def test_from_a_picture_to_a_clip_to_the_clip_that_goes_on_from_it(client, live, able, tmp_path):
    video = client.videos.create_and_poll(prompt=WORDS, **ABLE, input_reference=picture())
    assert video.status == "completed", video
    film = tmp_path / "film.mp4"
    client.videos.download_content(video.id).write_to_file(film)
    longer = client.videos.extend(prompt=WORDS, seconds="1", video=film)
    assert longer.model_extra["backlot"]["stage"] in ("screening", "queued")
    longer = client.videos.poll(longer.id)
    assert (longer.status, longer.model_extra["backlot"]["extends"]) == ("completed", video.id)
    client.videos.download_content(longer.id).write_to_file(tmp_path / "longer.mp4")
    trusted(live, tmp_path / "longer.mp4")


def test_the_asynchronous_client_does_the_same_and_deletes(live, key, able):
    async def story() -> None:
        async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=key, timeout=120) as client:
            video = await client.videos.create_and_poll(prompt=WORDS, **ABLE)
            assert video.status == "completed", video
            for variant in ("video", "thumbnail", "spritesheet"):
                assert (await client.videos.download_content(video.id, variant=variant)).content
            remix = await client.videos.remix(video.id, prompt=OTHER_WORDS)
            named = {"video": {"id": video.id}}
            longer = await client.videos.extend(
                prompt=WORDS, seconds="1", video=openai.omit, extra_body=named
            )
            remix, longer = await asyncio.gather(client.videos.poll(remix.id), client.videos.poll(longer.id))
            assert (remix.status, longer.status) == ("completed", "completed")
            assert remix.remixed_from_video_id == video.id
            assert video.id in [one.id async for one in client.videos.list(limit=2)]
            assert (await client.videos.delete(video.id)).deleted
            for call in (client.videos.retrieve, client.videos.download_content):
                with pytest.raises(openai.NotFoundError):
                    await call(video.id)
            with pytest.raises(openai.NotFoundError):
                await client.videos.remix(video.id, prompt=WORDS)

    # In a thread of its own: the browser of other tests keeps a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, story()).result()


def test_a_key_makes_one_clip_and_an_unknown_id_is_not_found(client, first):
    once = {"Idempotency-Key": uuid.uuid4().hex}
    made = [client.videos.remix(first.id, prompt="a yellow star", extra_headers=once).id for _ in range(2)]
    assert made[0] == made[1]
    assert client.videos.delete(made[0]).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.remix(f"video_{uuid.uuid4().hex}", prompt="x")
