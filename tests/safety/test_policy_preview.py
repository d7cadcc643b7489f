"""A preview says what then happens: the change is applied, the same files and texts are judged again, and compared."""

from collections.abc import Callable

import numpy as np
import pytest
from django.utils import timezone

from accounts import actions, approvals
from accounts.actions import Action
from accounts.models import Approval
from generation.afterwards import safety_preview
from safety.models import Rule, Scan
from safety.policy import preview as policy_preview
from safety.policy import seen as policy_seen
from safety.policy.actions import ChangeScanPolicy, ChangeThreshold, SwitchRule
from safety.policy.preview import ADMITTED, REFUSED, UNSEEN, TextSubject
from safety.policy.proposed import Proposed
from safety.policy.rule_actions import AddRule
from safety.postfilter import gates
from safety.postfilter.scan import scan_file
from safety.prefilter.cascade import screen_prompt
from tests.safety.clips import encoded
from tests.safety.policy_stage import guardian

pytestmark = pytest.mark.django_db
CLIPS, FRAMES = 24, 6
REPLAYED = 8  # of them, for each change


@pytest.fixture
def clips(tmp_path, settings) -> list:
    """Encoded clips in which the gate of this test sees anything from nothing to all in each class."""
    settings.SAFETY_GATES = ["tests.safety.policy_stage.Light"]
    gates._made.cache_clear()
    chance = np.random.default_rng(7)
    paths = []
    for number in range(CLIPS):
        frames = np.zeros((FRAMES, 64, 64, 3), np.uint8)
        for index in range(FRAMES):
            top = 110 if number % 4 else 160  # most stay below what child safety blocks at
            lights = [chance.integers(0, most) for most in (top, 256, 220, 230)]
            for quarter, light in enumerate(lights):
                frames[index, quarter * 16 : quarter * 16 + 16, :32] = light
            frames[index, :, 32:] = chance.integers(0, 256)
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(encoded(frames))
        paths.append(path)
    return paths


def verdicts(clips: list, fence: int) -> dict[str, str]:
    return {path.name: scan_file(path, path.name, fence, FRAMES).verdict for path in clips}


def make(action: Action) -> None:
    done = approvals.submit(action, guardian(), "a test") if hasattr(action, "payload") else None
    if done is None:
        actions.perform(action, guardian(), "a test", None)
    elif isinstance(done, Approval):
        approvals.approve(done.pk, guardian(), "agreed")


CHANGES = [
    ChangeThreshold("violence", "block_score", 0.5),
    ChangeThreshold("violence", "block_score", 1.0),
    ChangeThreshold("intimate", "review_score", 0.2),
    ChangeThreshold("intimate", "review_score", 0.8),
    ChangeThreshold("likeness", "block_score", 0.3),
    ChangeThreshold("likeness/politician", "block_score", 0.4),
    ChangeThreshold("likeness/private_person", "review_score", 0.3),
    ChangeThreshold("child_safety", "block_score", 0.2),
    ChangeThreshold("child_safety", "block_score", 0.9),
    ChangeScanPolicy("faces", "faces", "review"),
    ChangeScanPolicy("faces", "faces", "block"),
    ChangeScanPolicy("intimate", "intimate", "any_sign"),
    ChangeScanPolicy("violence", "violence", "everything"),
]


@pytest.mark.parametrize("action", CHANGES, ids=lambda action: f"{action.row} {action.field} {action.value}")
def test_a_preview_of_frames_equals_the_replay(clips, action):
    clips = clips[:REPLAYED]
    before = verdicts(clips, 1)
    now = timezone.now()
    old = policy_preview.policies(now)
    new = policy_preview.policies(now, Proposed(action.kind, action.row, action.field, action.value, now))
    scans = policy_seen.recent_scans(now)
    assert {scan.name for scan in scans} == set(before)
    told = policy_preview.frames_group("Recent clips", scans, old, new)
    assert told.looked == REPLAYED
    assert {flip.subject.name: flip.before for flip in told.flips}.items() <= before.items()
    make(action)
    after = verdicts(clips, 2)
    unseen = {flip.subject.name for flip in told.flips if flip.after == UNSEEN}
    foretold = {f.subject.name: (f.before, f.after) for f in told.flips if f.after != UNSEEN}
    happened = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert foretold == {name: ways for name, ways in happened.items() if name not in unseen}
    for name in unseen:  # the first scan had ended early: what it had not looked at decides
        assert before[name] == "block"
    assert set(happened) <= set(foretold) | unseen


def test_the_changes_that_are_tried_flip_both_ways(clips):
    verdicts(clips, 1)
    ways = set()
    for action in CHANGES:
        effect = safety_preview.effect(action, timezone.now())
        ways |= {(flip.before, flip.after) for flip in effect.groups[0].flips}
    assert {("pass", "review"), ("pass", "block"), ("review", "block"), ("review", "pass")} <= ways
    assert ("block", UNSEEN) in ways or ("block", "review") in ways


TEXTS = [
    "a red ball over grass",
    "a blue square at night",
    "BACKLOT-CANARY-VIOLENCE",
    "a gory battlefield",
    "three lanterns at dawn",
    "lanterns at dawn, gory",
]


@pytest.mark.parametrize(
    "make_action",
    [
        lambda: AddRule(r"\blanterns? at dawn\b", "deception", ("clip",)),
        lambda: AddRule(r"\bred\b|\bblue\b", "deception", ("clip", "code")),
        lambda: AddRule(r"\bred\b", "deception", ("code",)),
        lambda: SwitchRule(
            str(Rule.objects.get(pattern__startswith=r"\b(?:behead").pk),
            "live",
            False,
        ),
    ],
)
def test_a_preview_of_texts_equals_the_replay(make_action: Callable[[], Action]):
    action = make_action()
    before = {text: screen_prompt(text, "clip").allowed for text in TEXTS}
    now = timezone.now()
    proposed, new_rule = safety_preview._proposed(action, now)
    told = policy_preview.texts_group(
        "Texts",
        [TextSubject(text, text, "clip") for text in TEXTS],
        policy_preview.policies(now),
        policy_preview.policies(now, proposed, new_rule),
        ask=policy_seen.LaterStages(),
    )
    make(action)
    after = {text: screen_prompt(text, "clip").allowed for text in TEXTS}
    happened = {
        text: (ADMITTED, REFUSED) if before[text] else (REFUSED, ADMITTED)
        for text in TEXTS
        if before[text] != after[text]
    }
    assert {flip.subject.name: (flip.before, flip.after) for flip in told.flips} == happened


def test_what_the_later_stages_were_not_asked_is_not_claimed():
    action = SwitchRule(
        str(Rule.objects.get(pattern__startswith=r"\b(?:behead").pk),
        "live",
        False,
    )
    now = timezone.now()
    proposed, _ = safety_preview._proposed(action, now)
    told = policy_preview.texts_group(
        "Texts",
        [TextSubject("gory", "a gory battlefield", "clip")],
        policy_preview.policies(now),
        policy_preview.policies(now, proposed),
        ask=policy_seen.LaterStages(most=0),
    )
    assert (told.looked, list(told.flips)) == (1, [])
    assert told.note == "1 more pass the rules then, but the stages behind them were not asked."


def test_a_preview_writes_nothing(clips):
    verdicts(clips[:3], 1)
    kept = list(Scan.objects.values("id", "verdict", "policy_version"))
    before = policy_preview.policies(timezone.now())
    for action in (*CHANGES[:3], AddRule("lantern", "violence", ("clip",))):
        safety_preview.effect(action, timezone.now())
    assert list(Scan.objects.values("id", "verdict", "policy_version")) == kept
    assert not Rule.objects.filter(pattern="lantern").exists()
    assert policy_preview.policies(timezone.now()).thresholds == before.thresholds


def test_a_clip_that_belongs_to_no_job_has_no_file_to_show(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(encoded(np.zeros((2, 64, 64, 3), np.uint8)))
    scan = scan_file(path, "gate:pocket-video@1", 1, 2)
    assert safety_preview._asset(scan) is None
