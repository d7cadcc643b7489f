"""Code: a prompt leads to its answer, which is there again after a reload and resumes from any token."""

import pytest

from billing.models import Decision, Hold
from generation import finalization
from generation.finalization import Ran
from generation.models import Job, State, TokenSegment
from tests.console.people import clip, code, person
from tests.generation.api_stage import claimed

pytestmark = pytest.mark.django_db

PIECES = ["    return ", "sum(values)", " / len(values)\n"]


def written(job: Job, pieces: list[str] = PIECES, reason: str = "stop") -> Job:
    """The completion, written by a worker in runs of two tokens and delivered."""
    attempt, lease = claimed("code")
    assert attempt.job_id == job.pk
    for seq, text in enumerate(pieces, start=1):
        TokenSegment.objects.create(job=job, seq=seq, fence=lease.fence, text=text, ids=[seq, seq])
    return finalization.deliver_code(
        lease, Ran(gpu_ms=50, tokens_in=7, tokens_out=6, stages={"generate": 0.05}), reason
    )


def test_a_prompt_is_queued_and_leads_to_its_answer():
    client, caller = person()
    response = client.post("/code/", {"prompt": "def f(x):\r\n    ", "max_tokens": "32"})
    job = Job.objects.get(organization=caller.organization)
    assert response.headers["Location"] == f"/code/{job.public_id}/"
    assert (job.prompt, job.spec["max_tokens"], job.state) == ("def f(x):\n    ", 32, State.QUEUED)
    html = client.get(f"/code/{job.public_id}/").content.decode()
    assert f'data-stream="/code/{job.public_id}/events"' in html
    assert f"/jobs/{job.public_id}/cancel" in html


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x\x00y"}, "U+0000"),
        ({"prompt": "def f():", "max_tokens": "many"}, "max_tokens"),
        ({"prompt": "def f():", "max_tokens": "999999"}, "at most"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_queued_or_held(fields, words):
    client, caller = person()
    response = client.post("/code/", fields)
    assert response.status_code >= 400
    assert words in response.content.decode()
    for model in (Job, Hold, Decision):
        assert not model.objects.filter(organization=caller.organization).exists(), model


def test_a_finished_answer_is_on_the_page_with_its_tokens_and_charge(django_assert_max_num_queries):
    client, caller = person()
    job = written(code(caller))
    with django_assert_max_num_queries(24):
        html = client.get(f"/code/{job.public_id}/").content.decode()
    assert "".join(PIECES) in html
    assert "7 tokens read, 6 written · 0.0039 credits charged" in html
    assert "data-stream" not in html


def test_a_clip_and_a_strangers_completion_are_no_answers_here():
    client, caller = person()
    _, stranger = person()
    for job in (clip(caller), code(stranger)):
        assert client.get(f"/code/{job.public_id}/").status_code == 404
        assert client.get(f"/code/{job.public_id}/events").status_code == 404


ENDED_EARLY = ["    total = sum(values)\n", "    return total / ("]


def test_the_valid_part_of_an_answer_is_shown_on_demand_and_the_rest_counted():
    client, caller = person()
    job = written(code(caller), ENDED_EARLY, "length")
    page = f"/code/{job.public_id}/"
    html = client.get(page).content.decode()
    assert "return total / (" in html
    assert "left out" not in html
    html = client.get(page, {"show": "valid"}).content.decode()
    assert "total = sum(values)" in html
    assert "return total" not in html
    assert "20 characters at the end are left out" in html
    assert "the most that was asked for" in html


def test_who_asked_for_what_parses_sees_that_first_and_all_of_it_on_demand():
    client, caller = person()
    client.post("/code/", {"prompt": "def mean(values):\n", "max_tokens": "32", "partial": "ast"})
    job = Job.objects.get(organization=caller.organization)
    assert job.spec["partial"] == "python"
    written(job, ENDED_EARLY, "length")
    html = client.get(f"/code/{job.public_id}/").content.decode()
    assert "return total" not in html
    assert 'value="ast" checked' in html
    assert "return total / (" in client.get(f"/code/{job.public_id}/", {"show": "all"}).content.decode()


def test_an_answer_that_ended_by_itself_is_whole_and_said_to_be_valid():
    client, caller = person()
    job = written(code(caller))
    assert "All of it is valid Python" in client.get(f"/code/{job.public_id}/?show=valid").content.decode()


def test_a_partial_that_is_no_syntax_is_refused():
    client, caller = person()
    response = client.post("/code/", {"prompt": "def f():", "partial": "tokens"})
    assert response.status_code == 400
    assert "backlot.partial" in response.content.decode()
    assert not Job.objects.filter(organization=caller.organization).exists()
