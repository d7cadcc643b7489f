"""Rounds of alarms over real rows: what is counted, what fires, and that nobody is told twice."""

import random
from datetime import timedelta

import psycopg
import pytest
from django.db import connection

from accounts import operations
from accounts.models import OutboxEvent
from console.alarms import measuring, rounds
from console.alarms.policy import catalog
from console.models import AlarmCount, AlarmFiring, AlarmLevel, AlarmRound, AlarmSilence, AlarmState
from generation import dispatch, finalization
from generation.finalization import Ran
from generation.models import Job
from generation.scheduling.leases import lease_of
from tests.console.people import clip, person
from tests.generation.api_stage import deliver, media_folder, tenant
from tests.generation.queueing import claim, idle_worker, submit, submit_many

__all__ = ["media_folder"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
SOON = timedelta(seconds=2 * measuring.STEP_S)


@pytest.fixture(autouse=True)
def one_way_to_people(settings):
    settings.PAGERDUTY_ROUTING_KEY, settings.PAGERDUTY_SECOND_ROUTING_KEY = "a-key", ""
    settings.ALARM_WEBHOOK_URL, settings.ALARM_MAIL_TO = "", []


def counted() -> dict[tuple[str, str], tuple[int, int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for row in AlarmCount.objects.all():
        sums = found.setdefault((row.measure, row.scope), [0, 0])
        sums[0], sums[1] = sums[0] + row.bad, sums[1] + row.total
    return {key: tuple(sums) for key, sums in found.items()}


def firings() -> set[tuple[str, str]]:
    return set(AlarmFiring.objects.filter(cleared_at=None).values_list("alarm_id", "scope"))


def told() -> list[tuple[str, str]]:
    events = OutboxEvent.objects.filter(topic__startswith="alarm.").order_by("pk")
    return [(event.payload["alarm"], event.payload["action"]) for event in events]


def test_what_ended_is_counted_once_however_often_it_is_looked_at():
    _, caller = person()
    deliver(clip(caller))
    deliver(clip(caller, "a blue square moving left on a white background"))
    submit(tenant("plus"), prompt="a green triangle rests on a white background")
    broken = claim(idle_worker())
    finalization.fail(lease_of(broken), Ran(gpu_ms=10), "not_finite", "a value was not finite")
    now = dispatch.clock() + SOON
    for _ in range(2):
        rounds.run(now, scorer=0.0)
        found = counted()
        assert found["not_finite", ""] == (1, 3)
        assert found["availability", ""] == (0, 3)
        assert found["retries", ""] == (0, 3)
        assert found["plus_completions", "clips"] == (0, 2)
        assert found["time_in_system", ""] == (0, 2)
        assert sum(total for (measure, _), (_, total) in found.items() if measure == "rejections") == 2
        assert "unsafe_delivery" not in {measure for measure, _ in found}
    assert firings() <= {("no_worker", "clips"), ("no_worker", "code")}


def test_drift_fires_in_one_round_is_told_once_and_resolved_once():
    operations.report("billing.drift", "critical", "organization:acme", {"drifted": 1})
    now = dispatch.clock() + SOON
    for seconds in (0, 5, 10):
        rounds.run(now + timedelta(seconds=seconds), scorer=0.0)
    firing = AlarmFiring.objects.get(alarm="ledger_drift")
    assert (firing.level, firing.value, firing.threshold, firing.told_level) == (1, 1, 0, 1)
    assert firing.evidence["events"][0]["subject"] == "organization:acme"
    assert told() == [("ledger_drift", "trigger")]
    rounds.run(now + timedelta(minutes=70), scorer=0.0)
    firing.refresh_from_db()
    assert firing.cleared_at == now + timedelta(minutes=70)
    assert [one for one in told() if one[0] == "ledger_drift"] == [
        ("ledger_drift", "trigger"),
        ("ledger_drift", "resolve"),
    ]


def test_plus_that_waits_fires_with_its_pool_and_clears_when_nobody_waits():
    submit_many(tenant("plus"), 4)
    now = dispatch.clock()
    Job.objects.update(queued_at=now - timedelta(seconds=90))
    rounds.run(now, scorer=0.0)
    assert firings() == set()
    rounds.run(now + timedelta(seconds=20), scorer=0.0)
    assert ("plus_starvation", "clips") in firings()
    state = AlarmState.objects.get(alarm="plus_starvation", scope="clips")
    assert (state.level, round(state.value)) == (1, 110)
    rounds.run(now + timedelta(seconds=40), scorer=0.0)
    assert AlarmFiring.objects.get(alarm="plus_starvation").level == 2
    assert [one for one in told() if one[0] == "plus_starvation"] == [
        ("plus_starvation", "trigger"),
        ("plus_starvation", "escalate"),
    ]
    for seconds in range(60, 130, 10):
        looked_at = now + timedelta(seconds=seconds)
        Job.objects.update(queued_at=looked_at - timedelta(seconds=5))
        rounds.run(looked_at, scorer=0.0)
    assert ("plus_starvation", "clips") not in firings()


def test_two_jobs_that_wait_long_are_no_starvation():
    submit_many(tenant("plus"), 2)
    now = dispatch.clock()
    Job.objects.update(queued_at=now - timedelta(minutes=10))
    for seconds in (0, 60):
        rounds.run(now + timedelta(seconds=seconds), scorer=0.0)
    assert ("plus_starvation", "clips") not in firings()


def test_a_scorer_that_is_away_and_a_pool_without_workers_fire_after_their_time():
    now = dispatch.clock()
    for seconds in range(0, 100, 10):
        rounds.run(now + timedelta(seconds=seconds), scorer=1.0)
        if seconds == 10:
            assert firings() == set()
        if seconds == 20:
            assert firings() == {("scorer_down", "")}
    # Nobody sends what the rounds tell here, so the outbox stands still as well.
    workers = {("no_worker", "clips"), ("no_worker", "code")}
    assert firings() == {("scorer_down", ""), ("outbox_dead", ""), *workers}


def test_a_silenced_alarm_is_recorded_and_told_when_the_silence_ends():
    now = dispatch.clock() + SOON
    AlarmSilence.objects.create(
        alarm_id="ledger_drift", author="a@example.com", reason="known", ends_at=now + timedelta(minutes=10)
    )
    operations.report("billing.drift", "critical", "organization:acme", {"drifted": 1})
    rounds.run(now, scorer=0.0)
    assert ("ledger_drift", "") in firings()
    assert told() == []
    rounds.run(now + timedelta(minutes=11), scorer=0.0)
    assert [one for one in told() if one[0] == "ledger_drift"] == [("ledger_drift", "trigger")]


def test_windows_summed_by_the_database_are_those_of_the_rules():
    chance, now = random.Random(5), dispatch.clock()
    until = measuring.step_of(now)
    rows = [
        AlarmCount(
            at=until - timedelta(seconds=10 * age),
            measure=measure,
            scope="",
            bad=chance.randrange(3),
            total=9,
        )
        for measure in ("availability", "not_finite")
        for age in chance.sample(range(1, 26_000), 700)
    ]
    AlarmCount.objects.bulk_create(rows)
    summed = measuring.sums(now)
    history = measuring.recorded(now, timedelta(days=3), ["availability", "not_finite"])
    moment = history.at(history.steps - 1)
    assert {key for key in summed if key[0] == "availability"} == {
        ("availability", "", window) for window in catalog.windows()["availability"]
    }
    for (measure, scope, window), counts in summed.items():
        assert moment.counts(measure, scope, window) == counts
    rounds.forget(now)
    assert measuring.sums(now)["availability", "", 259_200] == summed["availability", "", 259_200]
    assert AlarmCount.objects.count() < 1400


def test_a_round_takes_as_many_queries_for_many_jobs_as_for_few(django_assert_max_num_queries):
    submit_many(tenant("pro"), 12)
    now = dispatch.clock()
    rounds.run(now, scorer=0.0)
    with django_assert_max_num_queries(20):
        rounds.run(now + timedelta(seconds=10), scorer=0.0)
    assert AlarmRound.objects.count() in (1, 2)
    assert AlarmLevel.objects.filter(measure="scorer_down").count() == 2


def test_one_round_at_a_time():
    other = connection.get_connection_params()
    with psycopg.connect(
        **{name: other[name] for name in ("host", "port", "user", "password", "dbname")}
    ) as beside:
        beside.execute("SELECT pg_advisory_xact_lock(hashtext('alarms'))")
        assert rounds.run(dispatch.clock(), scorer=0.0) is None
    assert not AlarmState.objects.exists()
    assert rounds.run(dispatch.clock(), scorer=0.0) is not None
