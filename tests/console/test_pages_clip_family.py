"""Pages of clips made from clips, of clips whose files are gone, and the request that made a job to copy."""

import html
from datetime import timedelta

import pytest
from django.db.models import F

from generation.lineage import remixes
from generation.models import Job, State
from generation.retention import expiry
from tests.console.people import clip, code, operator, person
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

WORDS = "a green square moving left"


def page_of(client, job: Job) -> str:
    return html.unescape(client.get(f"/jobs/{job.public_id}/").content.decode())


def age(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(expires_at=F("finished_at") + timedelta(milliseconds=1))


def test_the_studio_remixes_a_clip_with_other_words_and_its_seed():
    client, caller = person()
    parent = deliver(clip(caller))
    assert f'href="/?remix={parent.public_id}"' in page_of(client, parent)
    studio = html.unescape(client.get(f"/?remix={parent.public_id}").content.decode())
    assert f'<input type="hidden" name="remix" value="{parent.public_id}">' in studio
    assert f'value="{parent.seed}"' in studio
    assert parent.prompt in studio
    sent = {"prompt": WORDS, "seed": str(parent.seed), "remix": parent.public_id, "model": "pocket-video"}
    assert client.post("/studio/submit", sent).status_code == 302
    made = Job.objects.get(parent=parent)
    assert (made.parent_relation, made.seed, made.prompt, made.source) == (
        "remix",
        parent.seed,
        WORDS,
        "studio",
    )
    assert f'href="/jobs/{made.public_id}/"' in page_of(client, parent)
    shown = page_of(client, made)
    assert "Remix of" in shown
    assert f'href="/jobs/{parent.public_id}/"' in shown


def test_nobody_remixes_anothers_clip():
    client, _ = person()
    _, stranger = person()
    parent = deliver(clip(stranger))
    assert client.get(f"/?remix={parent.public_id}").status_code == 404
    assert client.post("/studio/submit", {"prompt": WORDS, "remix": parent.public_id}).status_code == 404
    assert not Job.objects.filter(parent=parent).exists()


def test_a_refused_remix_stays_a_remix_with_its_words():
    client, caller = person()
    parent = deliver(clip(caller))
    sent = {"prompt": "BACKLOT-CANARY-VIOLENCE", "remix": parent.public_id}
    answer = client.post("/studio/submit", sent)
    page = html.unescape(answer.content.decode())
    assert answer.status_code == 400
    assert f'name="remix" value="{parent.public_id}"' in page
    assert "BACKLOT-CANARY-VIOLENCE" in page
    assert not Job.objects.filter(parent=parent).exists()


def test_pages_say_when_the_files_go_and_that_they_are_gone():
    client, caller = person()
    job = deliver(clip(caller))
    assert "Files kept" in page_of(client, job)
    age(job)
    for upkeep in (False, True):
        if upkeep:
            expiry.run()
        shown = page_of(client, job)
        assert "Its files are no longer kept" in shown
        assert "What happened to it and what it cost stays here." in shown
        assert "Download" not in shown.partition("<main")[2]
        assert "Charged 0.3 credits" in " ".join(shown.split())
        assert client.get(f"/jobs/{job.public_id}/clip").status_code == 410
        assert "Its files are no longer kept" in client.get("/").content.decode()
    assert "Its files were kept as long as promised" in page_of(client, job)
    staff, _ = operator()
    page = staff.get(f"/operate/jobs/{job.public_id}/").content.decode()
    assert "Its files were kept as long as promised" in page


def test_a_job_tells_the_request_that_made_it_without_any_key():
    client, caller = person()
    parent = deliver(clip(caller, prompt='it\'s a "red" ball & $HOME `ls` <b>'))
    child = remixes.submit(caller, parent, {"prompt": WORDS})
    answer = code(caller)
    for job, curl, python in (
        (parent, "curl -sS http://testserver/v1/videos \\", "client.videos.create_and_poll("),
        (child, f"http://testserver/v1/videos/{parent.public_id}/remix \\", "client.videos.remix("),
        (answer, "http://testserver/v1/completions \\", "client.completions.create("),
    ):
        shown = page_of(client, job)
        assert curl in shown
        assert python in shown
        assert 'Authorization: Bearer $BACKLOT_API_KEY"' in shown
        assert 'os.environ["BACKLOT_API_KEY"]' in shown
    shown = page_of(client, parent)
    assert """--form-string 'prompt=it'"'"'s a "red" ball & $HOME `ls` <b>'""" in shown
    assert f"--form-string seed={parent.seed}" in shown
    assert "<b>" not in client.get(f"/jobs/{parent.public_id}/").content.decode().partition("as-curl")[2]
    assert parent.state == State.DELIVERED
