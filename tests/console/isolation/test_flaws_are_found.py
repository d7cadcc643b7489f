"""The matrix fails where it has to: for flaws that are planted here, in addresses of their own and in real ones."""

from uuid import UUID

import pytest

from accounts import second_factor
from accounts.identity import Caller
from generation import history
from generation.api import jobs
from generation.models import Job
from tests.console.isolation import planted
from tests.console.isolation.test_isolation import ENTRIES
from tests.console.isolation.visits import Visits, unlisted
from tests.console.isolation.walk import routes
from tests.console.isolation.world import world
from tests.generation.api_stage import media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "silence")]


@pytest.fixture
def visits(settings) -> Visits:
    settings.ACCOUNT_RATE_LIMITS = False
    here = world()
    settings.SESSION_ENGINE = "tests.console.isolation.sessions"
    return Visits(here)


def test_an_address_that_nobody_spoke_of_is_named(settings):
    settings.ROOT_URLCONF = planted.__name__
    assert unlisted(routes(), ENTRIES) == sorted([*planted.FLAWS, planted.HONEST])


def test_each_flaw_of_a_planted_address_is_found_and_none_in_an_honest_one(settings, visits):
    settings.ROOT_URLCONF = planted.__name__
    assert visits.faults(planted.HONEST, planted.HONEST_ENTRY) == []
    for route, (entry, words) in planted.FLAWS.items():
        faults = visits.faults(route, entry)
        missed = [word for word in words if not any(word in fault for fault in faults)]
        assert missed == [], (route, faults)
    assert visits.faults(planted.HONEST, planted.HONEST_ENTRY) == []  # what they changed was undone


def anybodys(organization_id: int, job_id: UUID, kind: str | None = None) -> Job:
    return history.find_for_operators(job_id)


def anybodys_by_api(caller: Caller, job_id: str) -> Job:
    return Job.objects.get(pk=UUID(job_id.partition("_")[2]))


# An address, what is taken out of its view, and what the matrix then has to say.
TAKEN_OUT = [
    ("jobs/<job:job_id>/", history, "find", anybodys, "another tenant's owner: 200, not refused"),
    ("jobs/<job:job_id>/cancel", history, "find", anybodys, "wrote to ['accounts_outbox"),
    ("api/jobs/<job_id>", jobs, "find", anybodys_by_api, "another tenant's key: 200, not refused"),
    (
        "keys/<int:key_id>/revoke",
        Caller,
        "require",
        lambda caller, scope: None,
        "a member of the organization",
    ),
    ("operate/lanes/", second_factor, "way_in", lambda request: None, "without a second factor: 200"),
]


def test_a_check_that_is_taken_out_of_a_real_view_is_missed(monkeypatch, visits):
    for route, where, name, instead, words in TAKEN_OUT:
        with monkeypatch.context() as patched:
            patched.setattr(where, name, instead)
            faults = visits.faults(route, ENTRIES[route])
        assert any(words in fault for fault in faults), (route, faults)
        assert visits.faults(route, ENTRIES[route]) == []
