"""Clips through HTTP: the Video object, lists, tenants, cancelling and deleting."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Hold
from generation.models import Job, State
from tests.generation.api_stage import (
    CLIP,
    claimed,
    deliver,
    job_of,
    make_clip,
    media_folder,
    tenant,
    withdraw,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

VIDEO_KEYS = {
    *(
        "id",
        "object",
        "model",
        "status",
        "progress",
        "created_at",
        "completed_at",
        "expires_at",
        "size",
        "seconds",
    ),
    *("prompt", "remixed_from_video_id", "error", "backlot"),
}
__all__ = ["media_folder"]  # a fixture
PROMISED = {"stage", "steps", "queue_position", "eta_s", "quote", "charge", "decision", "credentials"}


@pytest.fixture
def plus():
    return tenant("plus")


def test_a_new_clip_is_queued_and_reads_as_the_stock_client_expects(client, plus):
    video = make_clip(client, plus)
    assert set(video) == VIDEO_KEYS
    assert set(video["backlot"]) >= PROMISED
    assert {
        name: video[name] for name in ("object", "model", "status", "progress", "size", "seconds", "error")
    } == {
        "object": "video",
        "model": "pocket-video",
        "status": "queued",
        "progress": 0,
        "size": "64x64",
        "seconds": "2",
        "error": None,
    }
    job = job_of(video)
    assert video["id"] == f"video_{job.id.hex}"
    assert video["created_at"] == int(job.created_at.timestamp())
    assert video["backlot"]["steps"] == 50
    assert video["backlot"]["queue_position"] == 1
    assert video["backlot"]["quote"] == job.quote_micro / 1_000_000 > 0
    assert video["backlot"]["charge"] is None
    assert video["backlot"]["decision"] == str(job.decision_id)
    assert video["backlot"]["credentials"] is None


def test_size_and_seconds_left_out_mean_what_the_model_does_best(client, plus):
    response = client.post("/v1/videos", {"prompt": "A blue square"}, headers=plus.auth)
    assert (response.json()["size"], response.json()["seconds"]) == ("64x64", "2")


def test_json_makes_the_same_clip_as_a_form(client, plus):
    response = client.post(
        "/v1/videos", {**CLIP, "seed": 7}, content_type="application/json", headers=plus.auth
    )
    assert response.status_code == 200
    assert response.json()["backlot"]["seed"] == 7
    assert make_clip(client, plus, seed="7")["backlot"]["seed"] == 7


def test_steps_are_the_tiers_whatever_is_asked(client):
    free = tenant("free", credit=0)
    assert make_clip(client, free)["backlot"]["steps"] == 30
    refused = client.post("/v1/videos", {**CLIP, "steps": "50"}, headers=free.auth)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "steps")


def test_retrieving_tells_when_to_ask_again_until_the_clip_has_ended(client, plus):
    video = make_clip(client, plus)
    waiting = client.get(f"/v1/videos/{video['id']}", headers=plus.auth)
    assert 500 <= int(waiting.headers["openai-poll-after-ms"]) <= 5_000
    deliver(job_of(video))
    ended = client.get(f"/v1/videos/{video['id']}", headers=plus.auth)
    assert "openai-poll-after-ms" not in ended.headers


def test_a_running_clip_shows_its_steps(client, plus):
    video = make_clip(client, plus)
    _, lease = claimed()
    lease.renew(step=20, stage="denoise", checkpoints=2)
    shown = client.get(f"/v1/videos/{video['id']}", headers=plus.auth).json()
    assert (shown["status"], shown["progress"]) == ("in_progress", 36)
    backlot = shown["backlot"]
    assert (backlot["stage"], backlot["steps_run"], backlot["checkpoints"]) == ("denoise", 20, 2)
    assert backlot["queue_position"] is None


def test_a_delivered_clip_shows_its_charge_and_its_credentials(client, plus):
    video = make_clip(client, plus)
    job = deliver(job_of(video))
    shown = client.get(f"/v1/videos/{video['id']}", headers=plus.auth).json()
    assert (shown["status"], shown["progress"]) == ("completed", 100)
    assert shown["completed_at"] == int(job.finished_at.timestamp())
    assert shown["backlot"]["credentials"] == "Trusted"
    assert shown["backlot"]["charge_micro"] == job.charge_micro == job.quote_micro
    assert shown["backlot"]["steps_run"] == shown["backlot"]["steps"] == 50


def test_a_cancelled_clip_reads_failed_with_the_code_cancelled(client, plus):
    video = make_clip(client, plus)
    deleted = client.delete(f"/v1/videos/{video['id']}", headers=plus.auth)
    assert deleted.json() == {"id": video["id"], "object": "video.deleted", "deleted": True}
    shown = client.get(f"/v1/videos/{video['id']}", headers=plus.auth).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "cancelled")
    assert shown["backlot"]["charge"] == 0
    assert Hold.objects.get(pk=job_of(video).hold_id).state == Hold.State.RELEASED


def test_deleting_a_running_clip_asks_its_worker_to_stop(client, plus):
    video = make_clip(client, plus)
    _, lease = claimed()
    assert client.delete(f"/v1/videos/{video['id']}", headers=plus.auth).status_code == 200
    assert lease.renew(step=1).cancel is True


def test_deleting_an_ended_clip_takes_it_out_of_sight_and_keeps_its_record(client, plus):
    video = make_clip(client, plus)
    job = deliver(job_of(video))
    assert client.delete(f"/v1/videos/{video['id']}", headers=plus.auth).status_code == 200
    assert client.get(f"/v1/videos/{video['id']}", headers=plus.auth).status_code == 404
    assert client.get("/v1/videos", headers=plus.auth).json()["data"] == []
    kept = Job.objects.get(pk=job.pk)
    assert (kept.state, kept.charge_micro) == (State.DELIVERED, job.charge_micro)


def test_a_withdrawn_clip_reads_failed(client, plus):
    video = make_clip(client, plus)
    withdraw(deliver(job_of(video)))
    shown = client.get(f"/v1/videos/{video['id']}", headers=plus.auth).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "content_withdrawn")


def test_pages_go_through_all_clips_once_in_either_order(client, plus):
    ids = [make_clip(client, plus)["id"] for _ in range(5)]
    for order, expected in (("desc", ids[::-1]), ("asc", ids)):
        seen, after = [], None
        while True:
            query = {"limit": 2, "order": order} | ({"after": after} if after else {})
            page = client.get("/v1/videos", query, headers=plus.auth).json()
            seen += [video["id"] for video in page["data"]]
            assert page["first_id"] == page["data"][0]["id"]
            assert page["last_id"] == page["data"][-1]["id"]
            if not page["has_more"]:
                break
            after = page["last_id"]
        assert seen == expected


def test_an_empty_page(client, plus):
    assert client.get("/v1/videos", headers=plus.auth).json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ({"limit": 0}, "invalid_value", "limit"),
        ({"limit": 101}, "invalid_value", "limit"),
        ({"limit": "many"}, "invalid_type", "limit"),
        ({"order": "sideways"}, "invalid_value", "order"),
        ({"after": "video_nothing"}, "invalid_value", "after"),
        ({"after": "video_" + "0" * 32}, "invalid_value", "after"),
    ],
)
def test_a_bad_page_is_refused_by_name(client, plus, query, code, param):
    response = client.get("/v1/videos", query, headers=plus.auth)
    assert response.status_code in (400, 422)
    assert (response.json()["error"]["code"], response.json()["error"]["param"]) == (code, param)


def test_another_tenants_clip_is_simply_not_found(client, plus):
    video, stranger = make_clip(client, plus), tenant("pro")
    path = f"/v1/videos/{video['id']}"
    never = f"/v1/videos/video_{'0' * 32}"
    for call, suffix in (("get", ""), ("get", "/content"), ("delete", ""), ("post", "/remix")):
        theirs = getattr(client, call)(path + suffix, headers=stranger.auth)
        nobodys = getattr(client, call)(never + suffix, headers=stranger.auth)
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json()["error"]["code"] == nobodys.json()["error"]["code"] == "not_found"
    assert client.get("/v1/videos", headers=stranger.auth).json()["data"] == []
    assert client.get("/v1/videos", {"after": video["id"]}, headers=stranger.auth).status_code == 400
    assert job_of(video).state == State.QUEUED


@pytest.mark.parametrize("path", ["edits", "characters"])
def test_what_is_not_offered_says_so_and_is_not_retried(client, plus, path):
    response = client.post(f"/v1/videos/{path}", {"prompt": "more"}, headers=plus.auth)
    assert response.status_code == 501
    assert response.json()["error"]["code"] == "not_implemented"
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("variant", ["video", "thumbnail", "spritesheet"])
def test_no_variant_is_there_before_the_clip_is(client, plus, variant):
    video = make_clip(client, plus)
    response = client.get(f"/v1/videos/{video['id']}/content", {"variant": variant}, headers=plus.auth)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "not_ready")


def test_models_are_listed_and_read(client, plus):
    models = client.get("/v1/models", headers=plus.auth).json()
    assert [(model["id"], model["object"]) for model in models["data"]] == [
        ("pocket-code", "model"),
        ("pocket-video", "model"),
    ]
    assert client.get("/v1/models/pocket-video", headers=plus.auth).json()["backlot"]["sizes"] == ["64x64"]
    assert client.get("/v1/models/sora-9", headers=plus.auth).json()["error"]["code"] == "model_not_found"


def test_a_list_takes_as_many_queries_for_many_clips_as_for_one(client, plus):
    make_clip(client, plus)
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get("/v1/videos", headers=plus.auth)
    for _ in range(4):
        make_clip(client, plus)
    with CaptureQueriesContext(connection) as many:
        assert len(client.get("/v1/videos", headers=plus.auth).json()["data"]) == 5
    assert len(many) == len(one) <= 7


def test_reading_and_making_a_clip_take_a_bounded_number_of_queries(client, plus):
    video = make_clip(client, plus)
    with CaptureQueriesContext(connection) as reading:
        client.get(f"/v1/videos/{video['id']}", headers=plus.auth)
    assert len(reading) <= 16
    with CaptureQueriesContext(connection) as making:
        make_clip(client, plus)
    assert len(making) <= 60
