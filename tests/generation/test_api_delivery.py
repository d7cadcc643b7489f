"""Delivery: authorize, redirect to a link that lives a minute, serve ranges, and let a withdrawal be one at once."""

import time
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from generation import delivery, storage
from generation.models import Asset, Attempt
from tests.generation.api_stage import (
    FILM,
    claimed,
    deliver,
    job_of,
    make_clip,
    media_folder,
    tenant,
    withdraw,
)

__all__ = ["media_folder"]  # a fixture
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("media_folder"),
    # The test client is synchronous; test_api_live.py reads the same stream through a socket.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators"),
]


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.fixture
def delivered(client, plus):
    video = make_clip(client, plus)
    deliver(job_of(video))
    return video


@pytest.fixture
def link(client, plus, delivered):
    return client.get(f"/v1/videos/{delivered['id']}/content", headers=plus.auth).headers["Location"]


def body(response) -> bytes:
    return b"".join(response) if response.streaming else response.content


def test_content_redirects_to_a_link_that_needs_no_key(client, plus, delivered):
    response = client.get(f"/v1/videos/{delivered['id']}/content", headers=plus.auth)
    assert response.status_code == 302
    assert response.headers["Cache-Control"] == "no-store"
    assert plus.raw not in response.headers["Location"]
    file = client.get(response.headers["Location"])
    assert (file.status_code, body(file)) == (200, FILM)
    assert file.headers["Content-Type"] == "video/mp4"
    assert file.headers["Content-Length"] == str(len(FILM))
    assert file.headers["Accept-Ranges"] == "bytes"
    assert file.headers["Content-Disposition"] == f'inline; filename="{delivered["id"]}.mp4"'
    assert file.headers["ETag"] == f'"{Asset.objects.get().digest}"'


def test_a_download_is_named_and_saved(client, plus, delivered):
    response = client.get(f"/v1/videos/{delivered['id']}/content?download=true", headers=plus.auth)
    file = client.get(response.headers["Location"])
    assert file.headers["Content-Disposition"] == f'attachment; filename="{delivered["id"]}.mp4"'


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=0-99", FILM[:100], "bytes 0-99/10240"),
        ("bytes=100-", FILM[100:], "bytes 100-10239/10240"),
        ("bytes=-7", FILM[-7:], "bytes 10233-10239/10240"),
        ("bytes=10000-99999", FILM[10000:], "bytes 10000-10239/10240"),
    ],
)
def test_a_range_is_served(client, link, header, part, content_range):
    response = client.get(link, headers={"Range": header})
    assert (response.status_code, body(response)) == (206, part)
    assert response.headers["Content-Range"] == content_range
    assert response.headers["Content-Length"] == str(len(part))


def test_a_range_behind_the_end_is_416_with_the_size(client, link):
    response = client.get(link, headers={"Range": "bytes=10240-"})
    assert (response.status_code, body(response)) == (416, b"")
    assert response.headers["Content-Range"] == "bytes */10240"


def test_a_range_of_another_version_of_the_file_is_ignored(client, link):
    stale = client.get(link, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (stale.status_code, body(stale)) == (200, FILM)
    etag = stale.headers["ETag"]
    fresh = client.get(link, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (fresh.status_code, body(fresh)) == (206, FILM[:10])


def test_head_has_the_headers_without_the_bytes(client, link):
    response = client.head(link, headers={"Range": "bytes=0-9"})
    assert (response.status_code, body(response)) == (200, b"")
    assert response.headers["Content-Length"] == "10240"


def test_what_the_client_has_already_is_not_sent_again(client, link):
    etag = client.head(link).headers["ETag"]
    response = client.get(link, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (response.status_code, body(response)) == (304, b"")


def test_a_link_dies_after_its_time(client, link, settings):
    settings.DELIVERY_URL_SECONDS = 1
    time.sleep(1.1)
    response = client.get(link)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    assert FILM[:20] not in response.content


def test_links_live_no_longer_than_a_minute(settings):
    assert settings.DELIVERY_URL_SECONDS <= 60


def test_a_forged_or_changed_link_is_dead(client, link):
    path, _, _ = link.rpartition(":")
    for forged in (f"{path}:AAAA", link[:-1] + ("A" if link[-1] != "A" else "B"), "/media/anything"):
        assert client.get(forged).status_code == 404


def test_a_link_dies_at_once_when_its_clip_is_withdrawn(client, plus, delivered, link):
    withdraw(job_of(delivered))
    response = client.get(link)
    assert (response.status_code, response.json()["error"]["code"]) == (410, "content_withdrawn")
    again = client.get(f"/v1/videos/{delivered['id']}/content", headers=plus.auth)
    assert (again.status_code, again.json()["error"]["code"]) == (410, "content_withdrawn")


def test_a_link_dies_and_the_files_go_when_the_clip_is_deleted(
    client, plus, delivered, link, django_capture_on_commit_callbacks
):
    path = Asset.objects.get().path
    with django_capture_on_commit_callbacks(execute=True):
        client.delete(f"/v1/videos/{delivered['id']}", headers=plus.auth)
    assert client.get(link).status_code == 404
    assert client.get(f"/v1/videos/{delivered['id']}/content", headers=plus.auth).status_code == 404
    assert not default_storage.exists(path)
    assert not default_storage.exists(f"clips/{job_of(delivered).pk}")


def test_before_its_end_a_clip_has_no_content(client, plus):
    video = make_clip(client, plus)
    response = client.get(f"/v1/videos/{video['id']}/content", headers=plus.auth)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "not_ready")
    client.delete(f"/v1/videos/{video['id']}", headers=plus.auth)
    response = client.get(f"/v1/videos/{video['id']}/content", headers=plus.auth)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_a_link_to_a_file_that_no_row_delivers_is_dead(client):
    default_storage.save("clips/unsigned.mp4", ContentFile(FILM))
    assert client.get(default_storage.url("clips/unsigned.mp4")).status_code == 404


@pytest.mark.parametrize(
    "path", ["../secrets/django", "/etc/passwd", "previews/../../etc/passwd", "previews/x/1/a"]
)
def test_no_link_leads_out_of_the_folder(client, path):
    assert client.get(default_storage.url(path)).status_code == 404


def test_links_take_no_other_method(client, link):
    response = client.post(link)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD"


def test_a_preview_is_seen_while_its_clip_is_made_and_not_after_a_block(client, plus):
    video = make_clip(client, plus)
    attempt, lease = claimed()
    assert delivery.preview_link(attempt) is None
    folder = f"previews/{attempt.job_id}/{lease.fence}"
    for step in (10, 20, 30):
        default_storage.save(f"{folder}/step-00{step}.webp", ContentFile(b"picture %d" % step))
    lease.renew(step=20, preview=f"{folder}/step-0020.webp")
    attempt.refresh_from_db()
    newest = client.get(delivery.preview_link(attempt))
    assert (newest.headers["Content-Type"], body(newest)) == ("image/webp", b"picture 20")
    assert body(client.get(default_storage.url(f"{folder}/step-0010.webp"))) == b"picture 10"
    unseen = client.get(default_storage.url(f"{folder}/step-0030.webp"))
    assert unseen.status_code == 404, "step 30 has not passed the gates"
    job = job_of(video)
    type(job).objects.filter(pk=job.pk).update(state="blocked", state_cause="a gate said no")
    assert client.get(delivery.preview_link(attempt)).status_code == 404


def test_previews_of_nobodys_attempt_are_dead(client):
    assert not Attempt.objects.exists()
    assert client.get(default_storage.url(f"previews/{'0' * 32}/999999/step-0010.webp")).status_code == 404


def test_a_token_grants_one_path_and_nothing_else():
    url = default_storage.url("clips/a.mp4", parameters={"ResponseContentDisposition": "attachment"})
    grant = storage.read_token(urlsplit(url).path.removeprefix("/media/"))
    assert grant == storage.Grant("clips/a.mp4", "attachment")
