"""Nobody reads or changes what is another tenant's, at any address, by any method; and no address is forgotten."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import pytest
from django.db import transaction
from django.http import HttpResponse

from tests.console.isolation import entries_api, entries_pages, entries_staff, watch
from tests.console.isolation.entry import Entry, Kind
from tests.console.isolation.walk import METHODS, filled, routes
from tests.console.isolation.world import MARK, PROMPT, Visitor, World, world
from tests.generation.api_stage import media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

ENTRIES: dict[str, Entry] = {**entries_pages.ENTRIES, **entries_api.ENTRIES, **entries_staff.ENTRIES}
READS = ("GET", "HEAD")
REFUSED = (401, 403, 404, 405)
# Where somebody is sent who has to show who they are first.
SIGN_IN = ("/accounts/login/", "/accounts/reauthenticate/", "/accounts/2fa/")
# What the victim's own owner is told isn't there yet: a clip that nobody has begun has no preview.
NOT_YET = {"jobs/<job:job_id>/preview"}
Call = tuple[Visitor, str]  # who asks, and by which method
Statuses = dict[str, set[int]]
OWN_WRITES = {"django_session"}  # what may change by a request that is refused: the browser's own session


def test_every_address_of_the_url_map_has_its_entry_and_no_entry_is_left_over():
    found = set(routes())
    assert sorted(found - set(ENTRIES)) == [], "say in tests/console/isolation/entries_… whose ids these take"
    assert sorted(set(ENTRIES) - found) == []


@pytest.fixture
def silence() -> Iterator[None]:
    """Of each of some ten thousand refusals the log has a line."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silence")
@pytest.mark.filterwarnings("ignore")  # streams that nobody reads to their end
def test_nobody_reads_or_changes_what_is_anothers(settings):
    settings.ACCOUNT_RATE_LIMITS = False
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    here = world()
    settings.SESSION_ENGINE = "tests.console.isolation.sessions"
    rows, writes = watch.rows_of(here.victim.pk), watch.Writes()
    faults = []
    for route in routes():
        if route in ENTRIES:  # the other test names those that are not
            faults += At(here, rows, writes, route, ENTRIES[route]).visited()
    assert faults == []


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


def is_api(route: str) -> bool:
    return route.startswith(("v1/", "api/"))


@dataclass
class At:
    """One address. Nobody, a stranger's session and a stranger's key come first: a method that is answered 405 to all
    of them isn't there, and the others needn't ask."""

    here: World
    rows: watch.Rows
    writes: watch.Writes
    route: str
    entry: Entry

    def visited(self) -> Iterator[str]:
        """By everybody, with every method, undone afterwards: what is wrong about it."""
        statuses: dict[str, set[int]] = {method: set() for method in METHODS}
        yield from self._by(self.here.visitors[:3], METHODS, statuses)
        there = [method for method in METHODS if statuses[method] != {405}]
        yield from self._by(self.here.visitors[3:], there, statuses)

    def _by(self, visitors: Iterable[Visitor], methods: Iterable[str], statuses: Statuses) -> Iterator[str]:
        calls = [
            (visitor, method, refused_to(self.entry, visitor, method, self.route))
            for visitor in visitors
            for method in methods
        ]
        refused = [(visitor, method) for visitor, method, refused in calls if refused]
        acting = [(visitor, method) for visitor, method, refused in calls if refused is False]
        # Nothing may come of those who are turned away, so they come together; where something did, each comes alone
        # to be told by name, as everybody does who may act.
        if refused and self._asked(refused, statuses, may_act=False):
            yield from self._each(refused, statuses, may_act=False)
        yield from self._each(acting, statuses, may_act=True)

    def _each(self, calls: list[Call], statuses: Statuses, *, may_act: bool) -> Iterator[str]:
        for _, some in groupby(calls, key=lambda call: call[0].name):
            yield from self._asked(list(some), statuses, may_act=may_act)

    def _asked(self, calls: list[Call], statuses: Statuses, *, may_act: bool) -> list[str]:
        """What is wrong about the answers, and about what was written meanwhile."""
        address = self.entry.path.format(**self.here.names) or filled(
            self.route, made(self.entry.ids, self.here)
        )
        faults = []
        with transaction.atomic():
            for visitor, method in calls:
                answer = send(visitor, method, address, made(self.entry.fields, self.here))
                statuses[method].add(answer.status_code)
                told = f"{method} {address} by {visitor.name}: {answer.status_code}"
                faults += [f"{told}, {fault}" for fault in faults_of(answer, may_act=may_act)]
                if shows_a_mark(answer) and not visitor.inside:  # who belongs to it may read its name
                    faults.append(f"{told}, shows what is the victim's")
            written = self.writes.since_last() - OWN_WRITES
            changed = self.rows.changed(written) if written else set()
            transaction.set_rollback(True)
        who = f"{[method for _, method in calls]} {address} by {calls[0][0].name}"
        if written and not may_act:
            faults.append(f"{who} wrote to {sorted(written)}")
        if changed:
            faults.append(f"{who} changed {sorted(changed)}")
        return faults


def faults_of(answer: HttpResponse, *, may_act: bool) -> Iterator[str]:
    """What is wrong about an answer; `may_act` for who acts for themselves there, with another's ids."""
    if not may_act and not is_refusal(answer):
        yield "not refused"
    if answer.status_code == 500:
        yield "broke"


def refused_to(entry: Entry, visitor: Visitor, method: str, route: str) -> bool | None:
    """Whether the visitor has to be turned away; None where they may, which other tests are about."""
    by_key = is_api(route)
    enough = entry.reads if method in READS else entry.writes
    if entry.kind is Kind.PUBLIC:
        return False
    if entry.kind is Kind.CLOSED:
        return True
    if entry.kind is Kind.STAFF:
        return True if not visitor.roles & entry.roles else None
    if visitor.inside and (by_key or visitor.cookies):
        if not enough:  # one's own person, or a key of one's own: as any stranger's
            return True if entry.kind is Kind.TENANT else None
        return None if visitor.inside & enough else True
    if visitor.outside and entry.kind is Kind.OWN and (by_key or visitor.cookies):
        return False  # they act for themselves; the victim's ids in the body must not help them
    return not (entry.kind is Kind.OWN and not enough and visitor.cookies)  # a person's own page


def is_refusal(answer: HttpResponse) -> bool:
    if answer.status_code in REFUSED:
        return True
    return answer.status_code == 302 and answer["Location"].startswith(SIGN_IN)


def shows_a_mark(answer: HttpResponse) -> bool:
    if answer.streaming:  # left unread: closing it would close the test's own connection
        return False
    text = answer.content.decode("utf-8", "replace")
    return MARK in text or PROMPT in text


def send(visitor: Visitor, method: str, address: str, fields: dict) -> HttpResponse:
    client = visitor.client()
    if method in READS:
        return client.generic(method, address)
    if address.startswith(("/v1/", "/api/")):
        return getattr(client, method.lower())(address, fields, content_type="application/json")
    if method == "POST":
        return client.post(address, fields)
    return client.generic(method, address)


def made(values: dict, here: World) -> dict:
    """The values with the victim's own in the braces."""
    return {
        name: value.format(**here.names) if isinstance(value, str) and "{" in value else value
        for name, value in values.items()
    }
