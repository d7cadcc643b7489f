"""The page Scheduling: settings of pools and of the auto-raise rule with preview, reason, expiry and undo."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import actions, operations
from accounts.errors import ApiError
from accounts.models import AuditEntry
from generation.models import Job, LaneOverride, PoolOverride, RaiseRuleOverride, ToldEta
from generation.scheduling import auto_raise, pool_settings, told
from generation.scheduling.lane_actions import ChangeLaneWeight
from generation.scheduling.setting_actions import ChangeLaneSetting, ChangePoolSetting, ChangeRaiseRule
from generation.scheduling.standing import standing
from tests.console.people import clip, operator, person
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]

pytestmark = pytest.mark.django_db
PAGE = "/operate/scheduling/"


def test_a_pool_setting_is_previewed_changed_shown_and_undone(django_assert_max_num_queries):
    client, user = operator()
    query = {"kind": "pool", "slug": "clips", "field": "preempt_after_s", "value": "12.5"}
    seen = client.get(PAGE, query)
    assert "Preempt after of clips goes from 20 s to 12.5 s" in seen.content.decode()
    assert not PoolOverride.objects.exists()
    answer = client.post(
        f"{PAGE}pool/clips/preempt_after_s", {"value": "12.5", "reason": "Plus waits", "expires": "60"}
    )
    assert answer.status_code == 302
    override = PoolOverride.objects.get()
    assert (override.value, override.author, override.reason) == (12.5, user.email, "Plus waits")
    assert override.expires_at > timezone.now() + timedelta(minutes=59)
    assert pool_settings.of_pool("clips", timezone.now()).preempt_after_s == 12.5
    with django_assert_max_num_queries(45):
        page = client.get(PAGE).content.decode()
    assert "20 s → <b>12.5 s</b>" in page
    entry = AuditEntry.objects.get(action="pool.setting")
    client.post(f"{PAGE}changes/{entry.pk}/undo", {"reason": "no longer"})
    assert pool_settings.of_pool("clips", timezone.now()).preempt_after_s == 20.0
    assert PoolOverride.objects.get().removed_by == user.email


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("preempt_after_s", "-1", "x"),
        ("preempt_after_s", "soon", "x"),
        ("most_preemptions", "1.5", "x"),
        ("preempt_after_s", "10", " "),
        ("nothing", "1", "x"),
    ],
)
def test_what_can_not_be_is_refused_and_changes_nothing(field, value, reason):
    client, _ = operator()
    answer = client.post(f"{PAGE}pool/clips/{field}", {"value": value, "reason": reason, "expires": ""})
    assert answer.status_code in (400, 404)
    assert not PoolOverride.objects.exists()
    assert client.post(f"{PAGE}pool/no-pool/soon_s", {"value": "1", "reason": "x"}).status_code == 404


def test_capacity_is_given_in_units_and_kept_in_micro_units():
    client, _ = operator()
    client.post(f"{PAGE}pool/code/capacity_units_micro", {"value": "40", "reason": "a small card"})
    assert PoolOverride.objects.get().value == 40_000_000
    assert pool_settings.of_pool("code", timezone.now()).capacity_units_micro == 40_000_000
    assert "40 units" in client.get(PAGE).content.decode()
    assert pool_settings.of_pool("code", timezone.now()).most_preemptions == 0


def test_the_auto_raise_rule_is_switched_and_set_live():
    client, _ = operator()
    client.post(f"{PAGE}raise_rule/clips-plus/enabled", {"value": "0", "reason": "a test"})
    assert RaiseRuleOverride.objects.get().value is False
    assert not pool_settings.raise_rules(timezone.now())["clips-plus"].enabled
    client.post(f"{PAGE}raise_rule/clips-plus/threshold_s", {"value": "45", "reason": "a test"})
    assert pool_settings.raise_rules(timezone.now())["clips-plus"].threshold_s == 45.0
    assert pool_settings.raise_rules(timezone.now())["clips-pro"].threshold_s == 30.0


def test_a_raise_stands_on_the_lanes_page_with_its_author_and_can_be_taken_back():
    client, _ = operator()
    job = clip(person(tier="plus")[1])
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(seconds=50))
    auto_raise.run(timezone.now())
    page = client.get("/operate/lanes/").content.decode()
    assert "auto-raise" in page
    entry = AuditEntry.objects.get(action=ChangeLaneWeight.name)
    client.post(f"/operate/changes/{entry.pk}/undo", {"reason": "I watch it"})
    assert LaneOverride.objects.get().removed_at is not None
    assert auto_raise.run(timezone.now() + timedelta(seconds=60)) == {}


def test_only_operators_open_it():
    client, _ = person()
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}pool/clips/soon_s", {"value": "1", "reason": "x"}).status_code == 403


def test_two_rooms_of_one_action_know_their_rows():
    user = operator()[1]
    with pytest.raises(ApiError):
        ChangePoolSetting("clips", "weight", 3).preview()
    with pytest.raises(ApiError):
        ChangeRaiseRule("no-lane", "step", 1.0).preview()
    entry = actions.perform(ChangeLaneSetting("clips-free", "max_running", 2), user, "a rush")
    assert (entry.before, entry.after) == ({"max_running": 3}, {"max_running": 2})


def test_who_gave_way_is_listed():
    client, _ = operator()
    job = clip(person(tier="free", credit=10**9)[1])
    detail = {"reason": "a job in clips-plus has waited 25 s", "step": 13, "waited_ms": 90, "yield_ms": 42}
    operations.report("attempt.preempted", "info", f"job:{job.pk}", detail | {"position": 1})
    page = client.get(PAGE).content.decode()
    assert "a job in clips-plus has waited 25 s" in page
    assert "1 in the last hour" in page


def test_the_first_estimate_is_kept_and_compared_with_the_end(media_folder):
    client, _ = operator()
    caller = person(tier="plus")[1]
    inside, late, open_one = clip(caller), clip(caller), clip(caller)
    now = timezone.now()
    assert told.note_untold(now) == 3
    assert told.note_untold(now) == 0
    first = ToldEta.objects.get(job=inside)
    assert (first.position, first.low_s <= first.eta_s <= first.high_s) == (1, True)
    told.note(inside, standing(late))  # the first one told is the one that counts
    assert ToldEta.objects.get(job=inside).eta_s == first.eta_s
    _end(inside, first.eta_s)
    _end(late, ToldEta.objects.get(job=late).high_s + 10)
    (found,) = told.calibration(timezone.now())
    assert (found.tier, found.jobs, found.inside, found.early, found.late) == ("plus", 2, 1, 0, 1)
    assert found.share == 0.5
    assert "50" in client.get(PAGE).content.decode()
    assert open_one.state == "queued"


def _end(job: Job, after_s: float) -> None:
    """Delivered so many seconds after it was told when it would be."""
    finished_at = deliver(job).finished_at
    ToldEta.objects.filter(job=job).update(at=finished_at - timedelta(seconds=after_s))
