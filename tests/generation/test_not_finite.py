"""When clips that blew up speak against a worker: by the rule itself, and with the rows that the guard writes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from accounts import actions, operations
from accounts.errors import ApiError
from accounts.models import AuditEntry, OperationalEvent
from generation.fleet import quarantine, worker_actions
from generation.fleet.worker_actions import SetWorkerState
from generation.models import Worker
from generation.policy.not_finite import BlowUp, Terms, speaks_against
from tests.console.people import operator
from tests.generation.queueing import idle_worker

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TERMS = Terms(attempts=3, prompts=2, window=timedelta(minutes=30))


def blow_ups(*pairs: str, minutes_ago: float = 1) -> list[BlowUp]:
    """ "w1:p1" is one on worker w1 for prompt p1."""
    at = NOW - timedelta(minutes=minutes_ago)
    return [BlowUp(*pair.split(":"), at=at) for pair in pairs]


@pytest.mark.parametrize(
    ("seen", "blamed"),
    [
        (blow_ups("w1:p1", "w1:p2", "w1:p3"), 3),
        (blow_ups("w1:p1", "w1:p1", "w1:p2"), 3),
        (blow_ups("w1:p1", "w1:p2"), 0),  # too few
        (blow_ups("w1:p1", "w1:p1", "w1:p1"), 0),  # one prompt, asked three times
        (blow_ups("w1:p1", "w2:p2", "w3:p3"), 0),  # one each
        (blow_ups("w1:p1", "w1:p2", "w1:p3", "w2:p3"), 0),  # p3 does it anywhere: two are left
        (blow_ups("w1:p1", "w1:p2", "w1:p3", "w1:p4", "w2:p3"), 3),
        (blow_ups("w1:p1", "w1:p2") + blow_ups("w1:p3", minutes_ago=31), 0),  # too long ago
        (blow_ups("w1:p1", "w1:p2", "w1:p3") + blow_ups("w2:p3", minutes_ago=31), 3),
    ],
)
def test_the_rule(seen, blamed):
    assert len(speaks_against("w1", seen, TERMS, NOW)) == blamed


def test_what_an_operator_has_looked_at_counts_no_more():
    old, new = blow_ups("w1:p1", "w1:p2", "w1:p3", minutes_ago=9), blow_ups("w1:p4")
    since = NOW - timedelta(minutes=5)
    assert speaks_against("w1", old + new, TERMS, NOW, since) == []
    assert len(speaks_against("w1", old + new, TERMS, NOW)) == 4


@given(
    some.lists(some.tuples(some.sampled_from(["w1", "w2", "w3"]), some.sampled_from("abcdef")), max_size=30)
)
def test_a_prompt_that_blows_up_everywhere_speaks_against_nobody(pairs):
    following = [BlowUp(worker, "evil", NOW) for worker in ("w1", "w2", "w3") for _ in range(5)]
    seen = [BlowUp(worker, prompt, NOW) for worker, prompt in pairs]
    for worker in ("w1", "w2", "w3"):
        without = speaks_against(worker, seen, TERMS, NOW)
        assert speaks_against(worker, seen + following, TERMS, NOW) == without


def report(worker: Worker, *prompts: str) -> None:
    for prompt in prompts:
        detail = {"worker": str(worker.pk), "prompt_sha256": prompt, "step": 7, "model": "m"}
        operations.report("clip.not_finite", "error", "job:x", detail)


@pytest.mark.django_db
def test_a_worker_that_does_it_across_prompts_is_quarantined_audited_and_reported():
    worker, other = idle_worker(), idle_worker()
    report(worker, "p1", "p2")
    report(other, "q1")
    assert not quarantine.consider(worker.pk)
    report(worker, "p3")
    assert not quarantine.consider(other.pk)
    assert quarantine.consider(worker.pk)
    worker.refresh_from_db()
    other.refresh_from_db()
    assert (worker.desired, worker.desired_by, other.desired) == ("quarantine", "nan guard", "run")
    assert "3 clips over 3 prompts" in worker.desired_reason
    entry = AuditEntry.objects.get(action="worker.state")
    assert (entry.actor, entry.actor_name, entry.target) == (None, "nan guard", f"worker:{worker.pk}")
    event = OperationalEvent.objects.get(kind="worker.quarantined")
    assert (event.severity, event.subject) == ("error", f"worker:{worker.pk}")
    assert event.detail["prompts_sha256"] == ["p1", "p2", "p3"]
    assert not quarantine.consider(worker.pk)
    assert OperationalEvent.objects.filter(kind="worker.quarantined").count() == 1


@pytest.mark.django_db
def test_a_prompt_that_follows_across_workers_quarantines_none():
    workers = [idle_worker() for _ in range(3)]
    for worker in workers:
        report(worker, "evil", "evil", "worse")
    assert [quarantine.consider(worker.pk) for worker in workers] == [False] * 3
    assert set(Worker.objects.values_list("desired", flat=True)) == {"run"}


@pytest.mark.django_db
def test_set_back_to_run_it_is_judged_by_what_comes_after(settings):
    worker, (_, user) = idle_worker(), operator()
    Worker.objects.update(desired_at=NOW - timedelta(days=1))
    report(worker, "p1", "p2", "p3")
    assert quarantine.consider(worker.pk)
    actions.perform(SetWorkerState(worker.pk, "run"), user, "the card was reseated")
    assert not quarantine.consider(worker.pk)
    report(worker, "p4")
    assert not quarantine.consider(worker.pk)
    settings.NAN_QUARANTINE_ATTEMPTS, settings.NAN_QUARANTINE_PROMPTS = 1, 1
    assert quarantine.consider(worker.pk)


@pytest.mark.django_db
def test_a_worker_s_state_is_changed_with_a_reason_and_undone():
    worker, (_, user) = idle_worker(), operator()
    preview = SetWorkerState(worker.pk, "drain").preview()
    assert preview.sentence == (
        f"{worker} gives back what it denoises between two steps, with its progress, and takes nothing new. "
        "It has no job now. No other worker of clips runs: jobs wait until one does."
    )
    entry = actions.perform(SetWorkerState(worker.pk, "drain"), user, "new driver")
    worker.refresh_from_db()
    assert (worker.desired, worker.desired_by, worker.desired_reason) == ("drain", user.email, "new driver")
    undone = actions.revert(SetWorkerState(worker.pk), entry, user, "not today")
    worker.refresh_from_db()
    assert (worker.desired, undone.before, undone.after) == ("run", {"desired": "drain"}, {"desired": "run"})
    with pytest.raises(ApiError):  # it was changed since
        actions.revert(SetWorkerState(worker.pk), entry, user, "twice")


@pytest.mark.django_db
@pytest.mark.parametrize("desired", ["", "sleep", "run"])
def test_a_state_that_is_unknown_or_already_wanted_is_refused(desired):
    worker, (_, user) = idle_worker(), operator()
    with pytest.raises(ApiError):
        actions.perform(SetWorkerState(worker.pk, desired), user, "why not")
    assert not AuditEntry.objects.filter(action="worker.state").exists()


@pytest.mark.django_db
def test_a_drain_runs_out_by_itself_and_a_restart_can_not():
    worker, (_, user) = idle_worker(), operator()
    later = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(ApiError):
        actions.perform(SetWorkerState(worker.pk, "restart"), user, "stuck", later)
    actions.perform(SetWorkerState(worker.pk, "drain"), user, "new driver", later)
    assert worker_actions.expire_states() == 0
    Worker.objects.update(desired_until=datetime.now(UTC) - timedelta(seconds=1))
    assert worker_actions.expire_states() == 1
    worker.refresh_from_db()
    assert (worker.desired, worker.desired_by, worker.desired_until) == ("run", "expiry", None)
    assert AuditEntry.objects.filter(action="worker.state", actor_name="expiry").count() == 1
