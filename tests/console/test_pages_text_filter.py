"""The page Text filter: the tax per stage of what was admitted, and the newest refusals by category and stage."""

import json
import uuid

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import staff
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation import admission
from generation.models import Job
from tests.console.people import person, signed_in, with_second_factor
from tests.generation.queueing import CLIP

pytestmark = pytest.mark.django_db

ADDRESS = "/staff/safety/text/"
REFUSED = "a gory battlefield"


def desk():
    """A signed-in person of trust & safety."""
    user = User.objects.create_user(f"safety-{uuid.uuid4().hex[:8]}@example.com")
    staff.grant(user, StaffRole.Role.TRUST_SAFETY, "test", "for this test")
    return with_second_factor(signed_in(user), user)


def refuse(caller, prompt: str) -> None:
    with pytest.raises(ApiError, match="moderation_blocked"):
        admission.submit_clip(caller, {**CLIP, "prompt": prompt})


def test_an_empty_page_teaches_and_a_stranger_sees_none():
    page = desk().get(ADDRESS)
    assert page.status_code == 200
    assert "No text was checked in this time" in page.content.decode()
    member, _ = person()
    assert member.get(ADDRESS).status_code in (403, 404)


def test_tax_and_refusals_are_shown_by_stage_and_category():
    _, caller = person()
    job = admission.submit_clip(caller, CLIP)
    refuse(caller, REFUSED)
    client = desk()
    text = client.get(f"{ADDRESS}?range=1h").content.decode()
    for stage in ("Normalise", "Rules", "Embedding", "Classifier", "Scorer", "Total"):
        assert stage in text
    assert REFUSED in text
    assert job.screening["category"] in text
    assert REFUSED in client.get(f"{ADDRESS}?category=violence&stage=rules").content.decode()
    for other in ("category=sexual", "stage=classifier"):
        assert REFUSED not in client.get(f"{ADDRESS}?{other}").content.decode()
    assert client.get(f"{ADDRESS}?range=never&category=x&stage=y").status_code == 200


def test_the_figures_are_those_of_the_jobs(capsys):
    _, caller = person()
    for number, ms in enumerate((4.0, 6.0, 20.0)):
        job = admission.submit_clip(caller, {**CLIP, "prompt": f"{number} red balls"})
        Job.objects.filter(pk=job.pk).update(
            screening={"ms": {"rules": 1.0, "embedding": ms - 1}, "elapsed_ms": ms, "category": "abstract"}
        )
    call_command("safety_tax", "--hours", "1")
    figures = {line["stage"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert figures["total"] == {"stage": "total", "texts": 3, "p50_ms": 6.0, "p99_ms": 19.72}
    assert figures["rules"]["p50_ms"] == 1.0
    assert figures["embedding"]["p50_ms"] == 5.0
    assert "classifier" not in figures


def test_the_page_takes_as_many_queries_for_many_as_for_one():
    _, caller = person()
    admission.submit_clip(caller, CLIP)
    client = desk()

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get(ADDRESS).status_code == 200
        return len(seen)

    queries()
    few = queries()
    for number in range(5):
        admission.submit_clip(caller, {**CLIP, "prompt": f"{number} red balls"})
        refuse(caller, f"{REFUSED} {number}")
    assert queries() == few <= 30
