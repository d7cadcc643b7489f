"""What a change moved is measured once, some minutes afterwards, over the minutes before and after it."""

import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts import actions
from accounts.models import AuditEntry
from console.alarms import measuring
from console.changes import effects, kinds, rows
from console.models import AlarmCount, MeasuredEffect
from generation.fleet.pool_actions import PausePool
from generation.models import Job, RegisteredModel
from generation.revisions.rollout_actions import QuarantineModel
from generation.scheduling.lane_actions import ChangeLaneWeight
from tests.console.people import clip, operator, person

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def test_the_wait_of_the_lane_before_and_after():
    _, user = operator()
    _, plus = person()
    entry = actions.perform(ChangeLaneWeight("clips-plus", 4.0), user, "Plus waits too long")
    job = clip(plus)
    Job.objects.filter(pk=job.pk).update(
        queued_at=entry.at - 2 * MINUTE, started_at=entry.at + MINUTE
    )  # two minutes old at the change, started a minute later
    assert effects.run(entry.at + 4 * MINUTE) == 0
    assert effects.run(entry.at + 6 * MINUTE) == 1
    (found,) = MeasuredEffect.objects.all()
    assert (found.figure, found.scope, found.window_s) == ("lane_wait", "clips-plus", 300)
    assert found.before == pytest.approx(120, abs=1)
    assert found.after == pytest.approx(180, abs=1)
    assert effects.run(entry.at + 7 * MINUTE) == 0
    (change,) = rows.newest(timezone.now())
    (effect,) = change.effects
    assert (effect.title, effect.before, effect.after, effect.better) == (
        "p95 queue wait", "120 s", "180 s", -1
    )  # fmt: skip


def test_shares_come_from_what_alarms_counted():
    _, user = operator()
    model = RegisteredModel.objects.create(
        name="m", revision=uuid.uuid4().hex[:8], kind="clip", pool_id="clips", folder="x", gpu_ms_per_step=1
    )
    entry = actions.perform(QuarantineModel(model.pk), user, "it breaks")
    for at, bad in ((entry.at - 2 * MINUTE, 5), (entry.at + 2 * MINUTE, 1)):
        AlarmCount.objects.create(
            at=measuring.step_of(at), measure="not_finite", scope="", bad=bad, total=100
        )
    assert effects.run(entry.at + 6 * MINUTE) == 1
    found = MeasuredEffect.objects.get()
    assert (found.figure, found.before, found.after) == ("not_finite", 0.05, 0.01)
    assert rows.effect_words(found).better == 1


def test_nothing_to_measure_is_said_and_kept():
    _, user = operator()
    entry = actions.perform(ChangeLaneWeight("clips-pro", 5.0), user, "a try")
    assert effects.run(entry.at + 6 * MINUTE) == 1
    found = MeasuredEffect.objects.get()
    assert (found.before, found.after) == (None, None)
    assert rows.effect_words(found).after == "nothing to measure"


def test_the_way_back_is_measured_too_and_what_is_old_is_not():
    _, user = operator()
    action = PausePool("clips")
    entry = actions.perform(action, user, "stop", timezone.now() + timedelta(hours=1))
    undone = actions.revert(action, entry, user, "go on")
    assert effects.run(undone.at + 6 * MINUTE) == 2
    assert set(MeasuredEffect.objects.values_list("entry__action", flat=True)) == {
        "pool.pause", "pool.pause.undo"
    }  # fmt: skip
    other = actions.perform(ChangeLaneWeight("clips-plus", 3.0), user, "long ago")
    assert effects.run(other.at + timedelta(hours=7)) == 0


def test_what_was_measured_can_not_be_changed():
    _, user = operator()
    entry = actions.perform(ChangeLaneWeight("clips-plus", 3.0), user, "a try")
    effects.run(entry.at + 6 * MINUTE)
    for change in (
        lambda: MeasuredEffect.objects.update(after=0),
        lambda: MeasuredEffect.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_every_kind_of_change_measures_something_or_says_that_nothing_moves():
    entry = AuditEntry(
        action="",
        target="x:1",
        before={},
        after={"category": "violence", "jobs": []},
        undo={},
        at=timezone.now(),
    )
    named = {
        "sla.grant": "window:2026-11-22T10:00/2026-11-22T11:00",
        "clip.withdraw": f"job:{uuid.uuid4()}",
        "lane.weight": "lane:clips-plus",
        "lane.setting": "lane:clips-plus",
        "raise_rule.setting": "lane:clips-plus",
        "pool.pause": "pool:clips",
        "pool.setting": "pool:clips",
    }
    for kind in kinds.KINDS:
        entry.target = named.get(kind.name, "x:1")
        figure = kind.moves(entry)
        if figure is not None:
            value = figure.measure(entry.at - 5 * MINUTE, entry.at)
            assert value is None or value >= 0
