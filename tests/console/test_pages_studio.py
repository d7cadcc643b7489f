"""The studio: a live quote, a submit with and without scripts, and refusals that queue, hold and charge nothing."""

import re

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from billing.models import Decision, Hold, Transaction
from generation.models import Job, Kind, RegisteredModel, State
from tests.console.people import PROMPT, clip, person

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


def counts(caller) -> tuple[int, ...]:
    own = {"organization": caller.organization}
    return tuple(model.objects.filter(**own).count() for model in (Job, Hold, Decision, Transaction))


def test_the_quote_says_what_it_costs_and_when_it_is_ready_and_writes_nothing(django_assert_max_num_queries):
    client, caller = person()
    before = counts(caller)
    with django_assert_max_num_queries(24):
        html = client.get("/studio/quote", {"prompt": PROMPT, "seconds": "2"}).content.decode()
    assert "≈ 0.3 credits" in html
    assert "ready in ~" in html
    assert counts(caller) == before


def test_before_a_model_has_passed_its_gate_the_studio_says_so():
    client, _ = person()
    RegisteredModel.objects.filter(kind=Kind.CLIP).update(status="candidate")
    answer = client.get("/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "15")
    assert "No model is ready yet" in answer.content.decode()


def test_an_empty_prompt_is_quoted_too_because_words_weigh_nothing():
    client, _ = person()
    assert "≈ 0.3 credits" in client.get("/studio/quote", {"prompt": ""}).content.decode()


def test_a_quote_that_credit_does_not_cover_says_so_in_its_place():
    client, _ = person(tier="enterprise", credit=0)
    html = client.get("/studio/quote", {"prompt": PROMPT}).content.decode()
    assert "This request needs 0.30 credits" in html
    assert "What would be allowed:" in html


def test_submitting_without_scripts_queues_the_clip_and_shows_it():
    client, caller = person()
    assert client.post("/studio/submit", {"prompt": PROMPT}).headers["Location"] == "/"
    job = Job.objects.get(organization=caller.organization)
    assert (job.prompt, job.state, job.source, job.steps) == (PROMPT, State.QUEUED, "studio", 50)
    html = client.get("/").content.decode()
    assert f'id="card-{job.pk.hex}"' in html
    assert f"/jobs/{job.public_id}/cancel" in html


def test_submitting_with_htmx_answers_the_watching_column_which_follows_its_events():
    client, caller = person()
    html = client.post("/studio/submit", {"prompt": PROMPT, "seed": "7"}, headers=HTMX).content.decode()
    job = Job.objects.get(organization=caller.organization)
    assert job.seed == 7
    assert html.lstrip().startswith('<section class="watching" id="watching"')
    assert f'sse-connect="/studio/events?job={job.public_id}&amp;"' in html
    assert f'sse-swap="card-{job.pk.hex}"' in html


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 2_001}, "2,001 characters"),
        ({"prompt": "a red\x07 circle"}, "control characters"),
        ({"prompt": PROMPT, "size": "123x77"}, "64x64"),
        ({"prompt": PROMPT, "seconds": "99"}, "99 s is over it"),
        ({"prompt": PROMPT, "seed": "seven"}, "seed"),
        ({"prompt": PROMPT, "model": "no-such-model"}, "no-such-model"),
    ],
)
def test_bad_input_is_refused_in_place_and_nothing_is_queued_held_or_charged(fields, words):
    client, caller = person()
    before = counts(caller)
    answer = client.post("/studio/submit", fields, headers=HTMX)
    assert answer.status_code == 422
    assert answer["HX-Retarget"] == "#quote"
    assert words in answer.content.decode()
    plain = client.post("/studio/submit", fields)
    assert plain.status_code >= 400
    assert words in plain.content.decode()
    assert counts(caller) == before


def test_a_refusal_for_lack_of_credit_links_its_decision():
    client, caller = person(tier="enterprise", credit=0)
    html = client.post("/studio/submit", {"prompt": PROMPT}, headers=HTMX).content.decode()
    decision = Decision.objects.get(organization=caller.organization)
    assert (decision.allowed, decision.code) == (False, "credit_balance_exhausted")
    assert f"/decisions/{decision.pk}/" in html
    assert not Job.objects.filter(organization=caller.organization).exists()


def test_a_job_that_ended_before_its_stream_began_still_has_its_end_told():
    client, caller = person()
    _, stranger = person()
    mine, theirs = clip(caller), clip(stranger)
    client.post(f"/jobs/{mine.public_id}/cancel")

    async def read() -> str:
        reader = AsyncClient()
        await reader.aforce_login(caller.user)
        address = f"/studio/events?job={mine.public_id}&job={theirs.public_id}&job=nonsense&"
        response = await reader.get(address)
        return "".join([part.decode() async for part in response.streaming_content])

    text = async_to_sync(read)()
    assert re.findall(r"^event: (\S+)$", text, re.M) == [f"card-{mine.pk.hex}", "balance", "end"]
    assert "Cancelled" in text


def test_the_fields_can_be_filled_from_the_address():
    client, _ = person()
    html = client.get("/", {"prompt": "a <b>blue</b> square", "seed": "12"}).content.decode()
    assert "a &lt;b&gt;blue&lt;/b&gt; square</textarea>" in html
    assert re.search(r'name="seed"[^>]+value="12"', html)


def test_the_studio_shows_a_persons_own_clips_and_no_strangers():
    client, caller = person()
    _, stranger = person()
    mine, theirs = clip(caller), clip(stranger)
    html = client.get("/").content.decode()
    assert mine.pk.hex in html
    assert theirs.pk.hex not in html


def test_more_clips_cost_no_more_queries(django_assert_max_num_queries):
    """Only the two that are next ask where they stand; the others wait behind them."""
    client, caller = person()
    for _ in range(12):
        clip(caller)
    with django_assert_max_num_queries(36 + 2 * 8):
        html = client.get("/").content.decode()
    assert "Behind 11 of your own clips." in html
