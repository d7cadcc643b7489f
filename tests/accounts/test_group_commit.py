"""Calls that come while one is under way are carried out together by the next; each meets its own problem."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction

from accounts.group_commit import GroupCommit
from tests.committed import committed

pytestmark = pytest.mark.django_db


@pytest.fixture
def _django_db_helper(django_db_setup, django_db_blocker):
    """Outside of a transaction, which a test would otherwise stand in."""
    with committed(django_db_blocker):
        yield


class Stage:
    """Doubles numbers in groups, which it notes; the first group waits until it is let go."""

    def __init__(self, most: int = 16, refused: type[Exception] | None = None) -> None:
        self.groups: list[list[int]] = []
        self.go, self._refused = threading.Event(), refused
        self.gathering = GroupCommit(self._carry_out, most)
        self._threads = ThreadPoolExecutor(8)

    def _carry_out(self, asked: list[int]) -> list[int]:
        self.groups.append(list(asked))
        if len(self.groups) == 1:
            assert self.go.wait(20)
        if self._refused and 13 in asked:
            raise self._refused(f"13 among {len(asked)}")
        return [2 * one for one in asked]

    def ask(self, number: int, key: str = "a") -> Future[int]:
        """Asked in a thread; returns once it leads or waits."""
        known = len(self.groups) + self._waiting(key)
        future = self._threads.submit(self.gathering.ask, key, number)
        while len(self.groups) + self._waiting(key) == known and not future.done():
            pass
        return future

    def _waiting(self, key: str) -> int:
        return len(self.gathering._waiting.get(key, ()))


def test_a_call_that_finds_nothing_under_way_goes_alone():
    stage = Stage()
    stage.go.set()
    assert [stage.gathering.ask("a", number) for number in range(3)] == [0, 2, 4]
    assert stage.groups == [[0], [1], [2]]


def test_those_that_come_meanwhile_are_carried_out_together_in_their_order():
    stage = Stage()
    answers = [stage.ask(number) for number in range(6)]
    stage.go.set()
    assert [answer.result(20) for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert stage.groups == [[0], [1, 2, 3, 4, 5]]


def test_a_group_has_its_limit():
    stage = Stage(most=2)
    answers = [stage.ask(number) for number in range(6)]
    stage.go.set()
    assert [answer.result(20) for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert stage.groups == [[0], [1, 2], [3, 4], [5]]


def test_other_keys_do_not_wait():
    stage = Stage()
    first = stage.ask(1)
    assert stage.ask(2, "b").result(20) == 4
    assert not first.done()
    stage.go.set()
    assert first.result(20) == 2


def test_one_that_is_refused_takes_nobody_along():
    stage = Stage(refused=ValueError)
    answers = [stage.ask(number) for number in (1, 2, 13, 3)]
    stage.go.set()
    assert [answers[place].result(20) for place in (0, 1, 3)] == [2, 4, 6]
    with pytest.raises(ValueError, match="13 among 1"):
        answers[2].result(20)


def test_what_may_have_been_committed_is_not_done_again():
    stage = Stage(refused=OperationalError)
    answers = [stage.ask(number) for number in (1, 2, 13)]
    stage.go.set()
    for answer in answers[1:]:
        with pytest.raises(OperationalError, match="13 among 2"):
            answer.result(20)
    assert stage.groups == [[1], [2, 13]]
    assert stage.gathering.ask("a", 4) == 8


def test_inside_a_transaction_a_call_waits_for_nobody():
    stage = Stage()
    first = stage.ask(1)
    with transaction.atomic():
        assert connection.in_atomic_block
        assert stage.gathering.ask("a", 2) == 4
    stage.go.set()
    assert first.result(20) == 2
