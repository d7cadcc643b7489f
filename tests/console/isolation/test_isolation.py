"""Nobody reads or changes what is another tenant's, at any address, by any method; and no address is forgotten."""

from functools import cache

import pytest
from django.db import transaction
from django.urls import get_resolver
from prometheus_client import generate_latest

from console.observability.metrics import catalog, page
from tests.console.isolation import entries_api, entries_pages, entries_staff
from tests.console.isolation.entry import Entry, Kind
from tests.console.isolation.visits import REFUSED, Visits, is_api, made, send, unlisted
from tests.console.isolation.walk import METHODS, filled, routes
from tests.console.isolation.world import MARK, Visitor, World, world
from tests.generation.api_stage import media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

ENTRIES: dict[str, Entry] = {**entries_pages.ENTRIES, **entries_api.ENTRIES, **entries_staff.ENTRIES}
# What the victim's own owner is told isn't there yet: a clip that nobody has begun has no preview.
NOT_YET = {"jobs/<job:job_id>/preview"}


def test_every_address_of_the_url_map_has_its_entry_and_no_entry_is_left_over():
    found = routes()
    assert unlisted(found, ENTRIES) == [], "say in tests/console/isolation/entries_… whose ids these take"
    assert unlisted(ENTRIES, found) == []


@pytest.mark.usefixtures("silence")
@pytest.mark.filterwarnings("ignore")  # streams that nobody reads to their end
def test_nobody_reads_or_changes_what_is_anothers(settings, tmp_path, monkeypatch):
    settings.ACCOUNT_RATE_LIMITS = False
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    here = world()
    settings.SESSION_ENGINE = "tests.console.isolation.sessions"
    # An address is asked some thirty times, and what it resolves to depends on nothing else.
    monkeypatch.setattr(get_resolver(), "resolve", cache(get_resolver().resolve))
    counted, settings.METRICS_FOLDER = settings.METRICS_FOLDER, tmp_path / "no metrics"
    visits, faults = Visits(here), []
    for route in routes():
        if route in ENTRIES:  # the other test names those that are not
            faults += visits.faults(route, ENTRIES[route])
    assert faults == []
    # What this process counted, of these requests and all before, is looked at once: each look takes a second or more.
    settings.METRICS_FOLDER = counted
    assert MARK not in generate_latest(page.registry([catalog.PROCESSES])).decode()


@pytest.mark.usefixtures("silence")
@pytest.mark.filterwarnings("ignore")
def test_to_their_owner_the_same_ids_are_there(settings):
    """Otherwise what is refused above would be refused because nothing has such an id."""
    settings.ACCOUNT_RATE_LIMITS = False
    here = world()
    settings.SESSION_ENGINE = "tests.console.isolation.sessions"
    missing = []
    for route, entry in ENTRIES.items():
        if entry.kind is Kind.TENANT and route not in NOT_YET:
            who = here.program if is_api(route) else here.owner
            statuses = (owner_asks(here, entry, route, who, method) for method in METHODS)
            if all(status in REFUSED for status in statuses):  # it asks no further once one is let in
                missing.append(route)
    assert missing == []


def owner_asks(here: World, entry: Entry, route: str, who: Visitor, method: str) -> int:
    with transaction.atomic():
        answer = send(who, method, filled(route, made(entry.ids, here)), made(entry.fields, here))
        transaction.set_rollback(True)
    return answer.status_code
