"""What webhooks are told of jobs: an event exists if and only if its job's transaction committed."""

import json

import pytest
from django.db import transaction

from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import OutboxEvent, WebhookEvent
from billing.models import Notice
from generation import announcements, cancellation
from generation.models import Job
from tests.accounts.webhooks.receiver import Reply, receiving
from tests.accounts.webhooks.stage import endpoint, make_due, serve_all
from tests.console.people import code
from tests.generation.api_stage import deliver, make_clip, media_folder, tenant

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

ALL = ("video.completed", "video.failed", "completion.completed", "completion.failed", "webhook.disabled")


class Undone(Exception):
    pass


def told() -> list[tuple[str, dict]]:
    return [
        (event.type, json.loads(event.body)["data"])
        for event in WebhookEvent.objects.order_by("created_at", "id")
    ]


def job_of(video: dict) -> Job:
    return Job.objects.get(pk=video["id"].rpartition("_")[2])


def test_a_job_whose_end_is_undone_is_told_to_nobody(client):
    plus = tenant()
    endpoint(plus.organization, "http://127.0.0.1:9/", *ALL)
    job = job_of(make_clip(client, plus))

    def delivered_and_undone() -> None:
        with transaction.atomic():
            deliver(job)
            raise Undone

    with pytest.raises(Undone):
        delivered_and_undone()
    announcements.dispatch()
    assert (told(), OutboxEvent.objects.filter(topic__startswith="video.").count()) == ([], 0)
    deliver(Job.objects.get(pk=job.pk))
    announcements.dispatch()
    announcements.dispatch()
    assert told() == [("video.completed", {"id": job.public_id, "status": "completed", "state": "delivered"})]


def test_every_end_is_told_once(client):
    plus = tenant()
    endpoint(plus.organization, "http://127.0.0.1:9/", *ALL)
    clip = job_of(make_clip(client, plus))
    written = code(Caller(plus.organization, plus.owner, None, ROLE_SCOPES["owner"]))
    cancellation.cancel(clip, "its owner")
    cancellation.cancel(written, "its owner")
    announcements.dispatch()
    assert told() == [
        ("video.failed", {"id": clip.public_id, "status": "failed", "state": "cancelled"}),
        ("completion.failed", {"id": written.public_id, "status": "failed", "state": "cancelled"}),
    ]


def test_another_organizations_jobs_are_told_to_them_alone(client):
    plus, other = tenant(), tenant()
    endpoint(other.organization, "http://127.0.0.1:9/", *ALL)
    deliver(job_of(make_clip(client, plus)))
    announcements.dispatch()
    assert told() == []


def test_one_that_was_switched_off_is_a_notice_and_told_to_the_others():
    plus = tenant()
    with receiving(Reply(410)) as gone, receiving() as other:
        made, _ = endpoint(plus.organization, gone.url, "credits.low")
        endpoint(plus.organization, other.url, "webhook.disabled")
        from billing import notices

        notices.tell(plus.organization.pk, Notice.Kind.LOW_BALANCE, "today", "It is low.", link="/credits/")
        announcements.dispatch()
        serve_all()
        announcements.dispatch()  # the notice, which is an event of its own
        announcements.dispatch()
        make_due()
        serve_all()
    notice = Notice.objects.get(kind="webhook_disabled")
    assert (notice.organization, notice.link) == (plus.organization, f"/webhooks/{made.pk}/")
    assert "410" in notice.message
    (sent,) = other.got
    body = json.loads(sent[2])
    assert (body["type"], body["data"]["webhook"], body["data"]["because"]) == (
        "webhook.disabled",
        made.pk,
        "gone",
    )
