"""Conformance of the clip calls with the stock client, both its ways: what each of them returns.

What they raise: test_api_stock_clip_refusals.py. tests/e2e/test_stock_clips.py makes the same calls against
workers that really make the clips.
"""

import io
from collections.abc import Callable

import openai
import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.db import connection

from generation.models import Asset, Job, State
from tests.generation.api_stage import CLIP, media_folder, withdraw
from tests.generation.stock_clips import (
    ABLE,
    PICTURES,
    WORDS,
    _django_db_helper,
    address,
    delivered,
    film,
    picture,
    plus,
)
from tests.generation.test_input_pictures import able_model

__all__ = ["_django_db_helper", "address", "film", "media_folder", "plus"]  # fixtures
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("media_folder", "clean_redis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def sent():
    """Every request that the client sent, by method and path."""
    return []


@pytest.fixture
def stock(address, plus, sent):
    note = {"request": [lambda request: sent.append((request.method, request.url.path))]}
    http = openai.DefaultHttpxClient(event_hooks=note)
    with openai.OpenAI(base_url=f"{address}/v1", api_key=plus.raw, timeout=30, http_client=http) as client:
        yield client


@pytest.fixture
async def other_way(address, plus):
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=plus.raw, timeout=30) as client:
        yield client


def in_thread(work: Callable, *arguments):
    """Work on the database from a test that awaits, on a connection that is given back."""

    def done():
        try:
            return work(*arguments)
        finally:
            connection.close()

    return sync_to_async(done, thread_sensitive=False)()


def test_the_video_object_is_whole_in_every_state(stock):
    video = stock.videos.create(**CLIP)
    known = set(openai.types.Video.model_fields)
    assert known - {"backlot"} <= set(video.to_dict(exclude_unset=True)) | {"backlot"}
    assert (video.object, video.status, video.progress) == ("video", "queued", 0)
    assert (video.completed_at, video.expires_at, video.error, video.remixed_from_video_id) == (None,) * 4
    assert (video.size, video.seconds, video.prompt) == ("64x64", "2", CLIP["prompt"])
    job = delivered(video.id)
    video = stock.videos.retrieve(video.id)
    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert video.expires_at - video.completed_at == 30 * 86_400
    withdraw(job)
    video = stock.videos.retrieve(video.id)
    assert (video.status, video.error.code, video.expires_at) == ("failed", "content_withdrawn", None)


def test_each_variant_is_downloaded_as_it_was_signed(stock, tmp_path):
    video = stock.videos.create(**CLIP)
    delivered(video.id, b"a film")
    for variant, content in {"video": b"a film", **PICTURES}.items():
        assert stock.videos.download_content(video.id, variant=variant).read() == content
    with stock.videos.with_streaming_response.download_content(video.id, variant="thumbnail") as streamed:
        streamed.stream_to_file(tmp_path / "thumbnail.webp")
    assert (tmp_path / "thumbnail.webp").read_bytes() == PICTURES["thumbnail"]
    with pytest.raises(openai.BadRequestError) as raised:
        stock.videos.download_content(video.id, variant="poster")
    assert raised.value.param == "variant"
    assert "'video', 'thumbnail' or 'spritesheet'" in raised.value.message


def test_a_remix_is_the_clients_own_object_and_names_its_parent(stock, sent):
    first = stock.videos.create(**CLIP, extra_body={"seed": 7})
    delivered(first.id)
    again = stock.videos.remix(first.id, prompt=WORDS)
    assert (again.status, again.prompt, again.remixed_from_video_id) == ("queued", WORDS, first.id)
    assert again.model_extra["backlot"]["seed"] == 7
    other = stock.videos.remix(first.id, prompt=WORDS, extra_body={"seed": 8})
    assert other.model_extra["backlot"]["seed"] == 8
    assert sent[-1] == ("POST", f"/v1/videos/{first.id}/remix")


def test_a_clip_begins_from_a_picture(stock):
    able_model()
    for reference in (picture(), ("a.png", picture(), "image/png"), io.BytesIO(picture())):
        video = stock.videos.create(**ABLE, input_reference=reference)
        assert (video.status, video.model_extra["backlot"]["stage"]) == ("queued", "screening")
    assert Job.objects.filter(state=State.SCREENING).count() == 3


def test_a_clip_is_extended_by_its_file_and_by_its_id(stock, film):
    able_model()
    first = stock.videos.create(**ABLE)
    delivered(first.id, film.read_bytes())
    stock.videos.download_content(first.id).write_to_file(film.with_name("downloaded.mp4"))
    ways = (
        {"video": film.with_name("downloaded.mp4")},
        # The client itself sends no id there, whatever its types say; its body takes one.
        {"video": openai.omit, "extra_body": {"video": {"id": first.id}}},
        {"video": openai.omit, "extra_body": {"video": first.id, "seed": 4}},
    )
    for way in ways:
        video = stock.videos.extend(prompt=WORDS, seconds="1", **way)
        assert (video.status, video.seconds, video.remixed_from_video_id) == ("queued", "1", None)
        assert video.model_extra["backlot"]["extends"] == first.id


async def test_the_asynchronous_client_makes_the_same_calls(other_way, film):
    await in_thread(able_model)
    first = await other_way.videos.create(**ABLE)
    await in_thread(delivered, first.id, film.read_bytes())
    first = await other_way.videos.poll(first.id)
    assert first.status == "completed"
    for variant, content in {"video": film.read_bytes(), **PICTURES}.items():
        assert (await other_way.videos.download_content(first.id, variant=variant)).content == content
    remix = await other_way.videos.remix(first.id, prompt=WORDS)
    longer = await other_way.videos.extend(prompt=WORDS, seconds="1", video=film.read_bytes())
    pictured = await other_way.videos.create(**ABLE, input_reference=picture())
    assert [one.status for one in (remix, longer, pictured)] == ["queued"] * 3
    assert (await other_way.videos.retrieve(remix.id)).remixed_from_video_id == first.id
    made = [video.id async for video in other_way.videos.list(limit=1, order="asc")]
    assert made == [first.id, remix.id, longer.id, pictured.id]
    assert (await other_way.videos.delete(first.id)).deleted is True
    for call in (other_way.videos.retrieve, other_way.videos.download_content):
        with pytest.raises(openai.NotFoundError):
            await call(first.id)
    with pytest.raises(openai.InternalServerError) as raised:
        await other_way.videos.edit(prompt=WORDS, video=b"film")
    assert (raised.value.status_code, raised.value.code) == (501, "not_implemented")


def test_pages_go_on_where_they_stopped_whatever_comes_meanwhile(stock):
    made = [stock.videos.create(**CLIP).id for _ in range(4)]
    page = stock.videos.list(limit=2)
    assert [video.id for video in page.data] == made[:1:-1]
    newer = stock.videos.create(**CLIP).id
    rest = page.get_next_page()
    assert ([video.id for video in rest.data], rest.has_next_page()) == (made[1::-1], False)
    assert newer not in {video.id for video in (*page.data, *rest.data)}
    assert [video.id for video in stock.videos.list(after=made[1], order="asc", limit=1)] == [
        *made[2:],
        newer,
    ]


def test_a_deleted_clip_is_gone_with_all_its_files(stock):
    video = stock.videos.create(**CLIP)
    job = delivered(video.id)
    paths = list(Asset.objects.filter(job=job).values_list("path", flat=True))
    assert len(paths) == 3
    gone = stock.videos.delete(video.id)
    assert (gone.id, gone.deleted, gone.object) == (video.id, True, "video.deleted")
    assert not any(default_storage.exists(path) for path in paths)
    for call in (stock.videos.retrieve, stock.videos.download_content, stock.videos.delete):
        with pytest.raises(openai.NotFoundError):
            call(video.id)
    assert video.id not in {one.id for one in stock.videos.list()}
