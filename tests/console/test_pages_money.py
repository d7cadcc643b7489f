"""Usage and decisions: every line leads to its job and its reason, and the running balance adds up."""

import re
import uuid

import pytest

from billing import statement
from billing.models import Decision
from tests.console.people import PROMPT, clip, person
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


def test_the_statement_adds_up_and_each_line_leads_to_its_job_and_its_decision(django_assert_max_num_queries):
    client, caller = person()
    job = deliver(clip(caller))
    with django_assert_max_num_queries(20):
        html = client.get("/usage/").content.decode()
    assert f'href="/jobs/{job.pk}/"' in html
    assert f'href="/decisions/{job.decision_id}/"' in html
    assert "−0.3" in html
    lines = statement.lines(caller.organization.pk)
    assert lines[0].balance_after_micro == sum(line.amount_micro for line in lines)
    assert f"{lines[0].balance_after_micro // 10**6}" in html
    assert client.get(f"/jobs/{job.pk}/").status_code == 200


def test_an_empty_statement_teaches_the_first_step():
    client, _ = person(credit=0)
    html = client.get("/usage/").content.decode()
    assert "No movements yet" in html
    assert "Make a clip" in html


def test_an_allowed_decision_is_told_layer_by_layer(django_assert_max_num_queries):
    client, caller = person()
    job = clip(caller)
    with django_assert_max_num_queries(16):
        html = client.get(f"/decisions/{job.decision_id}/").content.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    assert "Why this was allowed" in text
    assert "Requests per minute 0 of 60 used in the last minute. passed" in text
    assert "The included allowance 119.7 credits left of 120 credits today. −0.3 credits" in text
    assert "Purchased credits 100 credits in it. not needed" in text
    assert "0.3 credits a unit" in text


def test_a_refused_decision_says_what_would_be_allowed():
    client, caller = person(tier="enterprise", credit=0)
    client.post("/studio/submit", {"prompt": PROMPT})
    decision = Decision.objects.get(organization=caller.organization)
    html = client.get(f"/decisions/{decision.pk}/").content.decode()
    assert "Why this was refused" in html
    assert "What would be allowed: 0.30 credits more." in html
    assert f"/jobs/{decision.subject}" not in html  # there never was such a job


def test_another_organizations_decision_is_simply_not_found():
    client, _ = person()
    _, stranger = person()
    assert client.get(f"/decisions/{clip(stranger).decision_id}/").status_code == 404
    assert client.get(f"/decisions/{uuid.uuid4()}/").status_code == 404


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30])
def test_a_page_of_the_statement_that_does_not_exist_is_refused(before):
    client, _ = person()
    assert client.get("/usage/", {"before": before}).status_code == 400
