"""A job's page: everything in order, from its decision to its charge; nobody else's; cancelled at its price."""

import re

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from generation.models import Attempt, Job, State
from tests.console.people import PROMPT, clip, code, operator, person
from tests.generation.api_stage import claimed, deliver, media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


def page_of(job: Job, what: str = "") -> str:
    return f"/jobs/{job.public_id}/{what}"


def titles(html: str) -> list[str]:
    """The headings of the timeline, in order."""
    story = html[html.index('<ol class="timeline">') : html.index("</ol>", html.index('class="timeline"'))]
    return [" ".join(title.split()) for title in re.findall(r"<h3>(.*?)</h3>", story, re.S)]


def test_a_delivered_clip_tells_its_whole_story_in_order(django_assert_max_num_queries):
    client, caller = person()
    job = deliver(clip(caller))
    with django_assert_max_num_queries(24):
        html = client.get(page_of(job)).content.decode()
    assert titles(html) == [
        "Allowed: 0.3 credits set aside for 1 unit",
        "Claimed by a worker",
        "Frame gates passed: 1 frames",
        "Signed and verified: Trusted",
        "Every step ran",
        "Charged 0.3 credits",
        "Delivered",
    ]
    assert "Child safety" in html
    assert f"/decisions/{job.decision_id}/" in html
    assert f"/jobs/{job.public_id}/clip?download" in html
    assert "sse-connect" not in html  # nothing can change any more


def test_a_waiting_clip_says_where_it_stands_and_follows_its_events():
    client, caller = person()
    job = clip(caller)
    html = client.get(page_of(job)).content.decode()
    assert f'sse-connect="/jobs/{job.public_id}/events"' in html
    assert "Next in line" in html
    assert "No worker of this pool is running right now" in html


def test_another_organizations_job_is_simply_not_found():
    client, _ = person()
    _, stranger = person()
    job = clip(stranger)
    for what in ("", "clip", "preview", "events"):
        assert client.get(page_of(job, what)).status_code == 404, what
    assert client.post(page_of(job, "cancel")).status_code == 404
    job.refresh_from_db()
    assert job.state == State.QUEUED


def test_a_waiting_clip_is_cancelled_for_nothing():
    client, caller = person()
    job = clip(caller)
    assert "Cancel, free" in client.get(page_of(job)).content.decode()
    assert client.post(page_of(job, "cancel")).headers["Location"] == page_of(job)
    job.refresh_from_db()
    assert (job.state, job.charge_micro) == (State.CANCELLED, 0)
    assert "Nothing charged" in titles(client.get(page_of(job)).content.decode())


def test_a_running_clip_names_the_price_of_a_cancel_and_then_waits_for_its_step():
    client, caller = person()
    job = clip(caller)
    attempt, _ = claimed()
    Attempt.objects.filter(pk=attempt.pk).update(step=20, stage="denoising")
    html = client.get(page_of(job)).content.decode()
    assert "denoising 20/50" in html
    assert "Cancel for 0.12 credits" in html
    client.post(page_of(job, "cancel"))
    job.refresh_from_db()
    assert job.state == State.RUNNING
    assert job.cancel_requested_at is not None
    assert "Stops after this step" in client.get(page_of(job)).content.decode()


def test_the_clip_is_reached_by_a_link_that_is_made_for_this_request():
    client, caller = person()
    job = deliver(clip(caller))
    first = client.get(page_of(job, "clip"))
    assert (first.status_code, first["Cache-Control"]) == (302, "private, no-store")
    assert first.headers["Location"].startswith("/media/")
    assert client.get(page_of(clip(caller), "clip")).status_code == 409


def test_a_preview_is_shown_only_where_an_attempt_has_one_that_passed():
    client, caller = person()
    job = clip(caller)
    attempt, _ = claimed()
    assert client.get(page_of(job, "preview")).status_code == 404
    path = f"previews/{job.pk}/{attempt.fence}/step-0010.webp"
    Attempt.objects.filter(pk=attempt.pk).update(step=10, preview=path)
    assert client.get(page_of(job, "preview")).headers["Location"].startswith("/media/")
    assert f"preview?at=step-0010-{attempt.fence}" in client.get(page_of(job)).content.decode()


def test_a_completions_page_shows_prompt_and_answer():
    client, caller = person()
    job = code(caller, "def mean(values):\n    # <mean>\n")
    html = client.get(page_of(job)).content.decode()
    assert "# &lt;mean&gt;" in html
    assert "Stop" in html


def test_an_operator_sees_the_story_of_any_job_but_not_its_prompt_or_clip():
    _, caller = person()
    job = deliver(clip(caller))
    client, _ = operator()
    html = client.get(f"/operate/jobs/{job.public_id}/").content.decode()
    assert "Charged 0.3 credits" in titles(html)
    assert "For operators" in html
    assert PROMPT not in html
    assert "/clip" not in html
    assert client.get(page_of(job)).status_code == 403


@pytest.mark.django_db(transaction=False)
def test_a_prompt_is_text_and_never_markup():
    client, caller = person()
    job = clip(caller, "a <script>alert(1)</script> circle")
    for page in (page_of(job), "/", "/history/"):
        html = client.get(page).content.decode()
        assert "<script>alert(1)" not in html
        assert "&lt;script&gt;alert(1)" in html


def test_the_events_of_an_ended_job_are_its_last_state_and_then_the_end():
    client, caller = person()
    job = deliver(clip(caller))

    async def read() -> str:
        reader = AsyncClient()
        await reader.aforce_login(caller.user)
        response = await reader.get(page_of(job, "events"))
        assert response["Content-Type"] == "text/event-stream"
        return "".join([part.decode() async for part in response.streaming_content])

    text = async_to_sync(read)()  # looks at the database in this thread, so inside the test's transaction
    events = re.findall(r"^event: (\w+)$", text, re.M)
    assert events == ["live", "story", "facts", "balance", "end"]
    assert "Delivered" in text
