"""The auto-raise rule on real rows: its override, the share it moves, its return, and an operator's word."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts import actions
from accounts.models import AuditEntry, OperationalEvent
from generation.models import Job, LaneOverride, RaiseRuleOverride
from generation.scheduling import auto_raise, lane_settings
from generation.scheduling.lane_actions import ChangeLaneWeight
from tests.console.people import operator
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def starving():
    """A Plus clip that has waited for 45 s."""
    job = submit(tenant("plus"))
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(seconds=45))
    return job


def weight(at=None) -> float:
    (lane,) = [lane for lane in lane_settings.lanes("clips") if lane.slug == "clips-plus"]
    return lane_settings.effective(lane, at or timezone.now()).weight


def later(seconds: float):
    return timezone.now() + timedelta(seconds=seconds)


def test_the_weight_rises_by_steps_with_an_expiry_and_a_line_in_the_log(starving):
    assert weight() == 2.0
    assert list(auto_raise.run(timezone.now())) == ["clips-plus"]
    assert weight() == 3.0
    override = LaneOverride.objects.get(removed_at=None)
    assert (override.author_kind, override.author) == ("auto_raise", "auto-raise")
    assert "over 30 s: weight 2 → 3, at most 6" in override.reason
    entry = AuditEntry.objects.get(action="lane.weight")
    assert (entry.actor_name, entry.actor, entry.before, entry.after["weight"]) == (
        "auto-raise",
        None,
        {"weight": 2.0},
        3.0,
    )
    assert OperationalEvent.objects.get(kind="lane.auto_raised").subject == "lane:clips-plus"
    assert auto_raise.run(timezone.now()) == {}  # a step may show its effect
    auto_raise.run(later(31))
    assert weight() == 4.0
    assert LaneOverride.objects.filter(removed_at=None).count() == 1


def test_it_returns_to_baseline_once_nobody_waits(starving):
    auto_raise.run(timezone.now())
    Job.objects.filter(pk=starving.pk).update(
        state="cancelled", state_cause="test", finished_at=timezone.now(), charge_micro=0
    )
    assert auto_raise.run(later(200)) == {}
    assert weight(later(299)) == 3.0
    assert weight(later(301)) == 2.0


def test_an_operator_who_takes_a_raise_back_is_heard(starving):
    auto_raise.run(timezone.now())
    entry = AuditEntry.objects.get(action="lane.weight")
    actions.revert(ChangeLaneWeight("clips-plus"), entry, operator()[1], "let it be")
    assert weight() == 2.0
    assert auto_raise.run(later(60)) == {}
    assert auto_raise.run(later(1_700)) == {}
    assert list(auto_raise.run(later(1_801))) == ["clips-plus"]


def test_a_weight_that_an_operator_set_stands(starving):
    actions.perform(ChangeLaneWeight("clips-plus", 2.5), operator()[1], "my decision", later(600))
    assert auto_raise.run(timezone.now()) == {}
    assert weight() == 2.5
    assert list(auto_raise.run(later(601))) == ["clips-plus"]


def test_the_rule_itself_can_be_overridden_live(starving):
    def rule(field, value):
        RaiseRuleOverride.objects.create(
            lane_id="clips-plus", field=field, value=value, author_kind="operator", author="op", reason="test"
        )

    rule("threshold_s", 60)
    assert auto_raise.run(timezone.now()) == {}
    rule("threshold_s", 40)
    rule("step", 0.5)
    auto_raise.run(timezone.now())
    assert weight() == 2.5
    rule("enabled", False)
    assert auto_raise.run(later(60)) == {}


def test_lanes_without_the_rule_are_left_alone():
    job = submit(tenant("pro", credit=10**9))
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(seconds=900))
    assert auto_raise.run(timezone.now()) == {}
    assert not LaneOverride.objects.exists()


def test_an_override_is_history_that_the_database_keeps(starving):
    auto_raise.run(timezone.now())
    rows = LaneOverride.objects.filter(removed_at=None)
    with pytest.raises(DatabaseError), transaction.atomic():
        rows.update(value=9)
    with pytest.raises(DatabaseError), transaction.atomic():
        rows.delete()
    rows.update(removed_at=timezone.now(), removed_by="op")
    with pytest.raises(DatabaseError), transaction.atomic():
        LaneOverride.objects.update(removed_at=None, removed_by="")
