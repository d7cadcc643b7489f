"""/api/events: every change of an organization's jobs once, in one order, whatever commits when and is cut off when."""

import json
import threading

import httpx2
import pytest
from django.db import connection, transaction
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import keys
from generation import cancellation, job_changes
from generation.job_changes import Horizon
from generation.models import Job, JobEvent
from tests.generation.api_stage import job_of, make_clip, tenant
from tests.generation.live import beside, serving, wait_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


# The horizon


def test_where_nothing_runs_the_last_number_is_final_at_once():
    horizon = Horizon()
    horizon.look(7, frozenset())
    assert horizon.number == 7


def test_what_ran_at_the_look_has_to_end_first():
    horizon = Horizon()
    horizon.look(7, frozenset({90, 95}))
    assert horizon.number is None
    horizon.look(9, frozenset({95, 110}))
    assert horizon.number is None
    horizon.look(12, frozenset({110, 120}))
    assert horizon.number == 7
    horizon.look(12, frozenset())
    assert horizon.number == 12


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_no_number_comes_at_or_below_the_horizon_whatever_the_order(steps):
    """Writers take a transaction id, then numbers, then end in any order; between them somebody looks."""
    horizon, following, last = Horizon(), 100, 0
    running: dict[int, list[int]] = {}
    told = 0
    for choice, looks in steps:
        if choice < 3 or not running:
            following, running[following] = following + 1, []
        elif choice == 3:
            last += 1
            running[sorted(running)[0]].append(last)
        else:
            ended = sorted(running)[choice % len(running)]
            for number in running.pop(ended):
                assert number > told  # committed only now: it must not lie behind somebody already
        if looks:
            horizon.look(last, frozenset(running))
            told = max(told, horizon.number or 0)
            assert all(number > told for numbers in running.values() for number in numbers)


# Between connections


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture
def plus(db):
    return tenant("plus")


def seen(organization_id: int, after: int, horizon: Horizon) -> list[int]:
    changes, _ = job_changes.look(organization_id, after, horizon)
    return [change.number for change in changes]


def end(job_id: str, cause: str) -> None:
    """As a cancellation writes it, without the wallet, on which two of one organization would wait for each other."""
    Job.objects.filter(pk=job_id.rpartition("_")[2]).update(state="cancelled", state_cause=cause)


def test_a_change_that_commits_late_under_a_lower_number_is_not_missed(plus):
    slow, body = make_clip(Client(), plus)["id"], {"input": "x = 1", "background": True}
    made = Client().post("/v1/responses", body, content_type="application/json", headers=plus.auth)
    quick = made.json()["id"]
    after = JobEvent.objects.order_by("-id").values_list("id", flat=True)[0]
    written, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction.atomic():
            end(slow, "slowly")
            written.set()
            assert go_on.wait(20)

    with beside(slowly):
        assert written.wait(20)
        end(quick, "quickly")
        horizon = Horizon()
        found = [seen(plus.organization.pk, after, horizon) for _ in range(3)]
        go_on.set()
    assert found == [[], [], []]  # the quick one has the higher number: it is not told before the slow one
    later: list[int] = []
    wait_for(lambda: later.extend(seen(plus.organization.pk, after, horizon)) or len(later) >= 2)
    events = JobEvent.objects.filter(id__gt=after).order_by("id")
    assert later == [event.id for event in events]
    assert [event.cause for event in events] == ["slowly", "quickly"]


def read(lines, count: int) -> list[dict]:
    """The next so many events of a stream, with the id that each was sent under."""
    found, number = [], None
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            number = int(value)
        elif name == "data":
            found.append({**json.loads(value), "sent_as": number})
            if len(found) == count:
                break
    return found


def test_a_stream_goes_on_behind_the_last_event_that_was_read(plus):
    other = tenant("pro")
    with serving() as address, httpx2.Client(base_url=address, headers=plus.auth, timeout=30) as http:
        with http.stream("GET", "/api/events") as stream:
            lines = stream.iter_lines()
            while not next(lines).startswith("id: "):  # where it begins
                pass
            clip = make_clip(Client(), plus)
            make_clip(Client(), other)
            (first,) = read(lines, 1)
        cancellation.cancel(job_of(clip), "cancelled by its owner")
        with http.stream("GET", "/api/events", headers={"Last-Event-ID": str(first["id"])}) as stream:
            (second,) = read(stream.iter_lines(), 1)
    assert (first["object"], first["job"], first["to_state"], first["status"]) == (
        *("job.event", clip["id"]),
        *("queued", "queued"),
    )
    assert (second["from_state"], second["to_state"], second["cause"]) == (
        *("queued", "cancelled"),
        "cancelled by its owner",
    )
    assert all(event["id"] == event["sent_as"] for event in (first, second))
    mine = JobEvent.objects.filter(job=job_of(clip)).order_by("id").values_list("id", flat=True)
    assert [first["id"], second["id"]] == list(mine)


def test_a_stream_ends_when_it_said_and_a_key_without_read_gets_none(plus):
    _, maker = keys.create(plus.organization, "maker", ["generate"], plus.owner)
    with serving() as address, httpx2.Client(base_url=address, timeout=30) as http:
        ended = http.get("/api/events?seconds=1", headers=plus.auth)
        assert (ended.status_code, ended.headers["content-type"]) == (200, "text/event-stream")
        assert http.get("/api/events", headers={"Authorization": f"Bearer {maker}"}).status_code == 403
        for bad in ("x", "-1", "9" * 19):
            refused = http.get("/api/events?seconds=1", headers={**plus.auth, "Last-Event-ID": bad})
            assert refused.json()["error"]["param"] == "Last-Event-ID"
    assert connection.connection is None or not connection.in_atomic_block
