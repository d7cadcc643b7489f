"""One press for several clips, the same words with other seeds; variations, retries and pictures from the studio."""

import html
import io
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts.models import TierTerms
from generation.models import InputImage, Job, State
from tests.console.people import PROMPT, clip, person
from tests.generation.api_stage import deliver, media_folder
from tests.generation.test_input_pictures import able_model

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

HTMX = {"HX-Request": "true"}


def made(caller) -> list[Job]:
    return list(Job.objects.filter(organization=caller.organization).order_by("created_at", "id"))


def test_four_clips_have_four_seeds_that_count_on_from_the_given_one():
    client, caller = person()
    assert (
        client.post("/studio/submit", {"prompt": PROMPT, "seed": "2147483646", "count": "4"}).status_code
        == 302
    )
    assert sorted(job.seed for job in made(caller)) == [0, 1, 2147483646, 2147483647]
    assert {job.prompt for job in made(caller)} == {PROMPT}


def test_without_a_seed_each_has_a_random_one():
    client, caller = person()
    client.post("/studio/submit", {"prompt": PROMPT, "count": "2"})
    first, second = made(caller)
    assert first.seed != second.seed


def test_a_count_that_is_not_offered_is_one():
    client, caller = person()
    client.post("/studio/submit", {"prompt": PROMPT, "count": "100"})
    assert len(made(caller)) == 1


def test_bad_input_of_several_queues_none():
    client, caller = person()
    answer = client.post("/studio/submit", {"prompt": "", "count": "4"}, headers=HTMX)
    assert answer.status_code == 422
    assert made(caller) == []


def test_where_credit_ends_half_way_it_is_said_how_many_are_queued():
    client, caller = person(tier="enterprise", credit=700_000)  # at 0.3 credits a clip, two
    answer = client.post("/studio/submit", {"prompt": PROMPT, "count": "4"}, headers=HTMX)
    page = html.unescape(answer.content.decode())
    assert len(made(caller)) == 2
    assert "2 of 4 queued. The rest are not, and nothing is held for them" in page
    assert 'id="watching"' in page


def test_the_quote_is_of_all_of_them():
    client, caller = person()
    words = client.get("/studio/quote", {"prompt": PROMPT, "count": "4"}).content.decode()
    assert "≈ 1.2 credits" in words
    assert "for 4 clips" in words
    assert made(caller) == []


def test_variations_of_a_remix_count_on_from_its_seed():
    client, caller = person()
    parent = deliver(clip(caller))
    client.post("/studio/submit", {"prompt": "other words", "remix": parent.public_id, "count": "2"})
    children = Job.objects.filter(parent=parent).order_by("created_at", "id")
    assert [job.seed for job in children] == [parent.seed, (parent.seed + 1) % 2**31]


def test_a_card_leads_to_variations_and_to_its_seed_with_other_words():
    client, caller = person()
    job = deliver(clip(caller))
    page = html.unescape(client.get("/").content.decode())
    varied = re.search(r'href="/(\?prompt=[^"]+&count=4)"', page)[1]
    form = html.unescape(client.get(f"/{varied}").content.decode())
    assert f"{PROMPT}</textarea>" in form
    assert re.search(r'name="seed"[^>]+value=""', form)
    assert re.search(r'name="count" value="4" checked', form)
    same = re.search(rf'href="/(\?size=[^"]+&seed={job.seed}&model=[^"]+)"', page)[1]
    form = html.unescape(client.get(f"/{same}").content.decode())
    assert f'value="{job.seed}"' in form
    assert PROMPT not in form.partition("<textarea")[2].partition("</textarea>")[0]


def test_a_cancelled_clip_is_tried_again_as_it_was_and_a_refused_one_is_not():
    client, caller = person()
    job = clip(caller)
    client.post(f"/jobs/{job.public_id}/cancel")
    page = html.unescape(client.get("/").content.decode())
    form = page.partition('action="/studio/submit"')[2]
    retry = page[page.index("Try again") - 900 : page.index("Try again")]
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', retry))
    assert sent["seed"] == str(job.seed)
    assert client.post("/studio/submit", {**sent, "csrfmiddlewaretoken": ""}).status_code == 302
    again = Job.objects.filter(organization=caller.organization, state=State.QUEUED).get()
    assert (again.prompt, again.seed, again.spec_hash) == (job.prompt, job.seed, job.spec_hash)
    assert form


def test_the_studio_says_how_many_steps_the_tier_runs():
    client, caller = person()
    steps = TierTerms.objects.filter(tier_id="plus").latest("effective_from").steps
    assert f"runs exactly {steps} steps on your tier" in client.get("/").content.decode()


def test_a_picture_is_taken_where_the_model_can_begin_from_one():
    client, caller = person()
    assert 'name="input_reference"' not in client.get("/").content.decode()
    able_model()
    page = client.get("/", {"model": "pocket-picture"}).content.decode()
    assert 'name="input_reference"' in page
    assert 'enctype="multipart/form-data"' in page
    sent = {"prompt": PROMPT, "model": "pocket-picture", "size": "64x48", "seconds": "1"}
    assert client.post("/studio/submit", {**sent, "input_reference": picture()}).status_code == 302
    (job,) = made(caller)
    assert job.state == State.SCREENING
    assert InputImage.objects.get(job=job).digest == job.spec["image"]


def test_what_is_no_picture_is_refused_by_name_and_nothing_is_queued():
    client, caller = person()
    able_model()
    file = SimpleUploadedFile("notes.png", b"words, no picture", content_type="image/png")
    sent = {"prompt": PROMPT, "model": "pocket-picture", "input_reference": file}
    answer = client.post("/studio/submit", sent, headers=HTMX)
    assert answer.status_code == 422
    assert made(caller) == []
    answer = client.post("/studio/submit", {"prompt": PROMPT, "input_reference": picture()}, headers=HTMX)
    assert "makes clips from text alone" in html.unescape(answer.content.decode())
    assert made(caller) == []


def picture() -> SimpleUploadedFile:
    drawn = io.BytesIO()
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(drawn, "PNG")
    return SimpleUploadedFile("picture.png", drawn.getvalue(), content_type="image/png")
