"""Each row is counted once, however rounds, scrapes and transactions fall; all of it commits, between connections."""

import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import operations
from accounts.models import OperationalEvent
from console.models import MetricMark, MetricTotal
from console.observability.metrics import counting
from tests.committed import committed as committed_rows

pytestmark = pytest.mark.django_db
KIND = "test.counted"
SERIES = ("operational_events", (KIND, "info"))


@pytest.fixture
def committed(django_db_setup, django_db_blocker):
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


def happen(times: int) -> None:
    for _ in range(times):
        operations.report(KIND, "info", "test:1", {})


def told() -> float:
    return counting.read().totals.get(SERIES, 0.0)


def kept() -> float:
    row = MetricTotal.objects.filter(series=SERIES[0], labels=list(SERIES[1])).first()
    return row.value if row else 0.0


def a_round() -> int | None:
    return counting.run(timezone.now())


def test_what_is_final_is_kept_and_the_figure_stays_the_same():
    happen(3)
    assert (told(), kept()) == (3, 0)
    a_round()
    assert (told(), kept()) == (3, 0)  # seen, and final only when nobody from then writes any more
    a_round()
    assert (told(), kept()) == (3, 3)
    happen(2)
    assert (told(), kept()) == (5, 3)
    a_round()
    a_round()
    assert (told(), kept()) == (5, 5)
    assert told() == OperationalEvent.objects.filter(kind=KIND).count()


def test_a_transaction_that_commits_late_is_counted_once():
    """Its row has a lower number than rows that were there before it."""
    written, go_on = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            happen(1)
            written.set()
            assert go_on.wait(60)
        connection.close()

    writer = threading.Thread(target=late)
    writer.start()
    assert written.wait(60)
    happen(1)
    for _ in range(4):
        a_round()
        assert told() == 1
    mark = MetricMark.objects.get(pk="operational_events")
    lowest = OperationalEvent.objects.filter(kind=KIND).values_list("pk", flat=True).get() - 1
    assert mark.counted_upto < lowest
    go_on.set()
    writer.join()
    assert told() == 2
    for _ in range(3):
        a_round()
        assert told() == 2
    assert kept() == 2


def test_rounds_of_two_processes_count_nothing_twice():
    happen(20)
    a_round()
    results: list[int | None] = []

    def other() -> None:
        results.append(a_round())
        connection.close()

    threads = [threading.Thread(target=other) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    a_round()
    assert (told(), kept()) == (20, 20)


def test_a_long_history_is_taken_in_pieces(monkeypatch):
    a_round()
    a_round()  # everything that other tests had
    monkeypatch.setattr(counting, "AT_ONCE", 4)
    monkeypatch.setattr(counting, "MOST_BEHIND", 1_000_000)
    happen(10)
    for _ in range(40):
        assert told() == 10
        a_round()
        if kept() == 10:
            break
    assert kept() == 10


def test_a_rolled_back_number_holds_up_nobody():
    happen(1)
    try:
        with transaction.atomic():
            happen(1)
            raise KeyError("undone")
    except KeyError:
        pass
    happen(1)
    a_round()
    a_round()
    assert (told(), kept()) == (2, 2)
