"""The stock `openai` client against the whole running service: real workers, real models, real storage."""

import openai
import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def client(live):
    return openai.OpenAI(base_url=f"{live.url}/v1", api_key=live.api_key("plus-demo"), timeout=120)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_create_poll_and_download_a_clip_with_trusted_credentials(client, live, tmp_path):
    video = client.videos.create_and_poll(model="pocket-video", prompt="a blue square moving right over sand")
    assert video.status == "completed", video
    assert video.progress == 100
    assert video.model_extra["backlot"]["credentials"] == "Trusted"
    path = tmp_path / "clip.mp4"
    client.videos.download_content(video.id).write_to_file(path)
    assert "Trusted" in live.manage("verify_clip", str(path))

    listed = client.videos.list(limit=1)
    assert listed.data[0].id == video.id
    assert client.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)


def test_stream_a_completion(client):
    stream = client.completions.create(
        model="pocket-code",
        prompt="def add(a, b):\n",
        max_tokens=32,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
    usage = chunks[-1].usage
    assert text
    assert 0 < usage.completion_tokens <= 32
    again = client.completions.create(model="pocket-code", prompt="def add(a, b):\n", max_tokens=32, seed=1)
    assert again.choices[0].text == text


def test_a_revoked_or_wrong_key_is_an_authentication_error(client):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="bk_wrong").models.list()
    assert {model.id for model in client.models.list()} >= {"pocket-video", "pocket-code"}
