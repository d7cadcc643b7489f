"""Changes of live policy: who may, with what reason, until when, and back again; child safety takes a second person."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import actions, approvals
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, User
from safety.models import Rule, RuleOverride, ThresholdOverride
from safety.policy import suspensions as policy_suspensions
from safety.policy import thresholds
from safety.policy.actions import CHANGES, ChangeScanPolicy, ChangeThreshold, SuspendCategory, SwitchRule
from safety.policy.rule_actions import AddRule
from safety.prefilter.cascade import screen_prompt
from safety.prefilter.rules import live_rules
from tests.safety.policy_stage import guardian

pytestmark = pytest.mark.django_db
PATTERN = r"\blanterns? at dawn\b"
TEXT = "three lanterns at dawn"


def scores(row: str) -> tuple[float, float]:
    found = thresholds.standing(timezone.now())[row]
    return found.block_score, found.review_score


def test_a_threshold_is_changed_recorded_and_taken_back():
    user = guardian()
    action = ChangeThreshold("violence", "block_score", 0.7)
    said = action.preview()
    assert (said.before, said.after) == ({"block_score": 0.85}, {"block_score": 0.7})
    assert said.sentence.startswith("Block score of violence and gore goes from 0.85 to 0.7, ")
    assert scores("violence") == (0.85, 0.65)
    entry = actions.perform(action, user, "seen too much", None)
    assert scores("violence") == (0.7, 0.65)
    assert (entry.action, entry.target, entry.reason) == (
        "safety.threshold",
        "threshold:violence",
        "seen too much",
    )
    back = actions.revert(ChangeThreshold.of_entry(entry), entry, user, "enough")
    assert (back.before, back.after) == ({"block_score": 0.7}, {"block_score": 0.85})
    assert scores("violence") == (0.85, 0.65)
    row = ThresholdOverride.objects.get()
    assert (row.removed_by, row.reason, row.author) == (user.email, "seen too much", user.email)
    with pytest.raises(ApiError, match="undone before"):
        actions.revert(ChangeThreshold.of_entry(entry), entry, user, "again")


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (ChangeThreshold("violence", "block_score", 0), "invalid_value"),
        (ChangeThreshold("violence", "block_score", 1.01), "invalid_value"),
        (ChangeThreshold("violence", "block_score", None), "invalid_value"),
        (ChangeThreshold("violence", "block_score", True), "invalid_value"),
        (ChangeThreshold("violence", "review_score", 0.9), "invalid_value"),
        (ChangeThreshold("violence", "radius", 0.9), "not_found"),
        (ChangeThreshold("child_safety", "review_score", 0.4), "not_found"),
        (ChangeThreshold("weather", "block_score", 0.4), "not_found"),
        (ChangeThreshold("violence/politician", "block_score", 0.4), "not_found"),
        (ChangeThreshold("likeness/stranger", "block_score", 0.4), "not_found"),
        (ChangeScanPolicy("faces", "faces", "perhaps"), "invalid_value"),
        (ChangeScanPolicy("child_safety", "child_safety", "everything"), "not_found"),
        (ChangeScanPolicy("faces", "violence", "everything"), "not_found"),
        (SuspendCategory("people/clip", "clip_suspended", "yes"), "invalid_value"),
        (SuspendCategory("weather/clip", "clip_suspended", True), "not_found"),
        (SuspendCategory("people/clip", "code_suspended", True), "not_found"),
        (SwitchRule("0", "live", False), "not_found"),
        (SwitchRule("one", "live", False), "not_found"),
        (AddRule("(", "violence", ("clip",)), "invalid_value"),
        (AddRule("x*", "violence", ("clip",)), "invalid_value"),
        (AddRule("lantern", "weather", ("clip",)), "invalid_value"),
        (AddRule("lantern", "violence", ()), "invalid_value"),
        (AddRule("lantern", "violence", ("film",)), "invalid_value"),
    ],
)
def test_what_can_not_be_is_refused_and_changes_nothing(action, code):
    with pytest.raises(ApiError) as refused:
        action.preview()
    assert refused.value.code == code
    with pytest.raises(ApiError):
        actions.perform(action, guardian(), "a test", None)
    assert not AuditEntry.objects.filter(action__startswith="safety.").exists()
    assert not any(
        model.overrides.objects.exists() for model in CHANGES.values() if model is not ChangeThreshold
    )


def test_re2_says_in_its_own_words_what_it_can_not_read():
    with pytest.raises(ApiError, match="missing \\)"):
        AddRule("(a", "violence", ("clip",)).preview()
    with pytest.raises(ApiError, match="invalid perl operator"):
        AddRule("a(?=b)", "violence", ("clip",)).preview()


@pytest.mark.parametrize("role", [None, "operator"])
def test_only_trust_and_safety_may(role):
    user = User.objects.create_user("somebody@example.com")
    if role:
        from accounts import staff

        staff.grant(user, role, "test", "a test")
    for action in (ChangeThreshold("violence", "block_score", 0.7), AddRule(PATTERN, "violence", ("clip",))):
        with pytest.raises(ApiError) as refused:
            actions.perform(action, user, "a test", None)
        assert refused.value.code == "insufficient_scope"
    assert scores("violence") == (0.85, 0.65)


def test_child_safety_is_tightened_by_one_and_loosened_by_two():
    first, second = guardian(), guardian()
    tightened = approvals.submit(ChangeThreshold("child_safety", "block_score", 0.3), first, "tighter")
    assert isinstance(tightened, AuditEntry)
    assert scores("child_safety") == (0.3, 0.3)
    loosened = approvals.submit(ChangeThreshold("child_safety", "block_score", 0.6), first, "looser")
    assert isinstance(loosened, Approval)
    assert scores("child_safety") == (0.3, 0.3)
    with pytest.raises(ApiError):
        approvals.approve(loosened.pk, first, "myself")
    approvals.approve(loosened.pk, second, "agreed")
    assert scores("child_safety") == (0.6, 0.6)


def test_a_child_safety_rule_is_switched_off_by_two():
    rule = Rule.objects.filter(category="child_safety").first()
    with pytest.raises(ApiError) as refused:
        actions.perform(SwitchRule(str(rule.pk), "live", False), guardian(), "a test", None)
    assert refused.value.code == "approval_required"
    assert not RuleOverride.objects.exists()


def test_a_rule_is_added_counts_at_the_next_request_and_is_taken_back():
    user = guardian()
    assert screen_prompt(TEXT, "clip").allowed
    entry = actions.perform(AddRule(PATTERN, "violence", ("clip",)), user, "a wave of them", None)
    refused = screen_prompt(TEXT, "clip")
    assert (refused.allowed, refused.category, refused.rule_id) == (False, "violence", entry.undo["rule"])
    assert screen_prompt(TEXT, "code").allowed
    row = Rule.objects.get(pk=refused.rule_id)
    assert (row.author, row.reason, row.live) == (user.email, "a wave of them", True)
    with pytest.raises(ApiError, match="refuses this already"):
        AddRule(PATTERN, "violence", ("clip",)).preview()
    actions.revert(AddRule.of_entry(entry), entry, user, "over")
    assert screen_prompt(TEXT, "clip").allowed
    assert not Rule.objects.get(pk=row.pk).live


def test_a_rule_for_a_time_ends_by_itself_in_a_process_that_knows_it():
    user, now = guardian(), timezone.now()
    entry = actions.perform(
        AddRule(PATTERN, "violence", ("clip",)), user, "for an hour", now + timedelta(hours=1)
    )
    assert not screen_prompt(TEXT, "clip").allowed
    known = live_rules("clip")
    assert live_rules("clip") is known
    # The database's clock stands in a transaction: the end is put behind us instead of waiting for it.
    RuleOverride.objects.filter(pk=entry.undo["override"]).update(
        created_at=now - timedelta(hours=2), expires_at=now - timedelta(hours=1)
    )
    assert screen_prompt(TEXT, "clip").allowed


def test_a_rule_is_switched_off_for_a_time_and_on_again():
    rule = Rule.objects.create(
        pattern=PATTERN, category="violence", kinds=["clip"], author="test", reason="a test"
    )
    action = SwitchRule(str(rule.pk), "live", False)
    assert f"Rule {rule.pk} (violence) goes from on to off" in action.preview().sentence
    entry = actions.perform(action, guardian(), "a test", timezone.now() + timedelta(hours=1))
    assert screen_prompt(TEXT, "clip").allowed
    assert not screen_prompt("BACKLOT-CANARY-SEXUAL", "clip").allowed
    actions.revert(SwitchRule.of_entry(entry), entry, guardian(), "over")
    assert screen_prompt(TEXT, "clip").rule_id == rule.pk
    assert Rule.objects.get(pk=rule.pk).version == rule.version


def test_suspended_categories_are_told_apart_by_kind_and_end():
    now = timezone.now()
    action = SuspendCategory("people/clip", "clip_suspended", True)
    assert "People in clips goes from taken to suspended" in action.preview().sentence
    entry = actions.perform(action, guardian(), "an incident", now + timedelta(hours=1))
    standing = policy_suspensions.suspended("clip", timezone.now())
    assert list(standing) == ["people"]
    assert policy_suspensions.suspended("code", timezone.now()) == {}
    assert policy_suspensions.hit(["people"], standing).version == f"1+o{entry.undo['override']}"
    assert policy_suspensions.hit(["animals"], standing) is None
    assert policy_suspensions.hit([], standing).slug == "people"  # of unknown category: never let through
    assert policy_suspensions.hit([], {}) is None
    assert policy_suspensions.suspended("clip", now + timedelta(hours=2)) == {}
    assert "not taken at the moment (people)" in policy_suspensions.message("People", "clip")
