"""The check itself: one address, asked by everybody it doesn't belong to, by every method, undone afterwards."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from django.db import transaction
from django.http import HttpResponse

from tests.console.isolation import watch
from tests.console.isolation.entry import Entry, Kind
from tests.console.isolation.walk import METHODS, filled
from tests.console.isolation.world import MARK, PROMPT, Visitor, World

READS = ("GET", "HEAD")
REFUSED = (401, 403, 404, 405)
# Where somebody is sent who has to show who they are first.
SIGN_IN = ("/accounts/login/", "/accounts/reauthenticate/", "/accounts/2fa/")
OWN_WRITES = {"django_session"}  # what may change by a request that is refused: the browser's own session
Call = tuple[Visitor, str]  # who asks, and by which method
Statuses = dict[str, set[int]]


def unlisted(found: Iterable[str], entries: Iterable[str]) -> list[str]:
    """Addresses of the URL map that no entry speaks of."""
    return sorted(set(found) - set(entries))


@dataclass
class Visits:
    """Everybody at all addresses, in the world as it was when this was made."""

    here: World

    def __post_init__(self) -> None:
        self._rows, self._writes = watch.rows_of(self.here.victim.pk), watch.Writes()

    def faults(self, route: str, entry: Entry) -> list[str]:
        """What is wrong about one address."""
        return list(_At(self.here, self._rows, self._writes, route, entry).visited())


@dataclass
class _At:
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
        if refused and (together := self._asked(refused, statuses, may_act=False)):
            yield from list(self._each(refused, statuses, may_act=False)) or together
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


def is_api(route: str) -> bool:
    return route.startswith(("v1/", "api/"))


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
