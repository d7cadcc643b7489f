"""The beat goes on where the machine's clock is set back, and what piled up of a hint is taken once."""

from datetime import timedelta

import pytest
from celery import Celery

from console import beat
from console.celery import Hint
from console.celery import app as backlot

HOURS = timedelta(hours=3)


class Collecting(beat.SteadyScheduler):
    """Keeps the names of what it would send."""

    sent: list[str]

    def apply_entry(self, entry, producer=None):
        self.sent.append(entry.name)


@pytest.fixture
def app():
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {
        name: {"task": name, "schedule": seconds} for name, seconds in (("often", 1.0), ("seldom", 2.0))
    }
    yield app
    app.close()


@pytest.fixture
def scheduler(app, tmp_path):
    scheduler = Collecting(app, schedule_filename=str(tmp_path / "schedule"))
    scheduler.sent = []
    yield scheduler
    scheduler.close()


def due_in(scheduler) -> float:
    """Tick until there is nothing to send now; the seconds until there is."""
    for _ in range(20):
        if wait := scheduler.tick():
            return wait
    raise AssertionError("it never rests")


def ran(scheduler, ago: timedelta) -> None:
    for entry in scheduler.schedule.values():
        entry.last_run_at = scheduler.app.now() - ago
    scheduler._heap = None


def test_a_clock_that_was_set_back_by_three_hours_delays_nothing(scheduler):
    ran(scheduler, timedelta(seconds=5))
    due_in(scheduler)
    assert sorted(set(scheduler.sent)) == ["often", "seldom"]
    # As if the clock had been three hours ahead until now.
    ran(scheduler, -HOURS)
    scheduler._offset_s += HOURS.total_seconds()
    assert due_in(scheduler) <= 1.1
    assert {entry.last_run_at <= scheduler.app.now() for entry in scheduler.schedule.values()} == {True}


def test_a_clock_that_goes_as_it_should_changes_nothing(scheduler):
    ran(scheduler, timedelta(seconds=0.2))
    heap = due_in(scheduler), scheduler._heap
    due_in(scheduler)
    assert scheduler._heap is heap[1]
    assert scheduler.sent == []


def test_a_schedule_file_from_the_future_delays_nothing(app, tmp_path):
    file = str(tmp_path / "schedule")
    first = Collecting(app, schedule_filename=file)
    ran(first, -HOURS)
    first.close()
    second = Collecting(app, schedule_filename=file)
    second.sent = []
    assert due_in(second) <= 1.1
    second.close()


def test_backlot_uses_it_and_no_hint_expires_by_a_wall_clock():
    assert backlot.conf.beat_scheduler == "console.beat:SteadyScheduler"
    for entry in backlot.conf.beat_schedule.values():
        assert "expires" not in entry["options"]
        assert entry["options"]["queue"] in (
            "upkeep",
            "clips",
        )  # what decodes frames runs where clips are made
        assert entry["options"]["headers"]["every"] > 0


def test_what_piled_up_is_taken_once():
    app, rounds = Celery("test", broker="memory://", task_cls=Hint, set_as_current=False), []

    @app.task(name="round")
    def task():
        rounds.append(1)

    for header in ({"every": 60.0}, {"every": 60.0}, {"every": 60.0}):
        task.push_request(called_directly=False, **header)
        task()
        task.pop_request()
    assert len(rounds) == 1
    task()  # called by hand
    task.push_request(called_directly=False)  # a message without the header, a ticket say
    task()
    task.pop_request()
    assert len(rounds) == 3
    app.close()
