"""What a preview of policy has to look at: prompts of recent requests, and blurred frames of kept clips."""

import io
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone
from PIL import Image

from accounts import actions
from billing.models import Decision, Hold
from generation.afterwards import refused_prompts, safety_preview
from generation.afterwards.refused_prompts import RefusedPrompt
from generation.models import Asset, Job
from safety.golden import cases as golden
from safety.golden import texts as golden_texts
from safety.models import Rule, Scan
from safety.policy import seen as policy_seen
from safety.policy import suspensions as policy_suspensions
from safety.policy.actions import ChangeScanPolicy, ChangeTextThreshold, SuspendCategory, SwitchRule
from safety.policy.rule_actions import AddRule
from safety.postfilter import canary
from safety.postfilter.scan import scan_frames
from safety.prefilter.cascade import screen_prompt
from tests.generation.api_stage import CODE, Tenant, deliver, job_of, make_clip, media_folder, tenant
from tests.safety.clips import encoded, textured
from tests.safety.policy_stage import guardian

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

BALL, STAR = "a red ball rolling left over grass", "a pink star at night"
REFUSED = "BACKLOT-CANARY-VIOLENCE over grass"


@pytest.fixture
def plus() -> Tenant:
    return tenant()


def delivered(plus: Tenant) -> Job:
    film = encoded(np.stack([textured(seed, 96, 128) for seed in range(4)]))
    return deliver(job_of(make_clip(Client(), plus)), film)


def test_prompts_of_recent_requests_are_looked_at_once_each(plus):
    client = Client()
    for prompt in (BALL, BALL, STAR):
        make_clip(client, plus, prompt=prompt)
    client.post("/v1/completions", {**CODE, "prompt": BALL}, headers=plus.auth)
    subjects = safety_preview.admitted(timezone.now())
    assert [(one.kind, one.text) for one in subjects] == [("code", BALL), ("clip", STAR), ("clip", BALL)]
    assert safety_preview.admitted(timezone.now() + timedelta(days=8)) == []
    effect = safety_preview.effect(AddRule(r"\bpink star\b", "deception", ("clip",)), timezone.now())
    group = effect.groups[0]
    assert (group.title, group.looked, group.counts) == (
        "Recent requests, admitted",
        3,
        [("admitted", "refused", 1)],
    )
    assert group.flips[0].subject.text == STAR


def test_a_refused_prompt_is_kept_with_its_versions_and_flips_where_its_rule_is_switched_off(plus):
    rule = Rule.objects.create(
        pattern=r"\bzeppelins?\b", category="violence", kinds=["clip"], author="test", reason="a test"
    )
    prompt = "three zeppelins over grass"
    response = Client().post("/v1/videos", {"model": "pocket-video", "prompt": prompt}, headers=plus.auth)
    assert response.status_code == 400
    row = RefusedPrompt.objects.get()
    decision = Decision.objects.get(organization=plus.organization)
    assert (row.decision_id, row.prompt, row.kind, row.category) == (decision.pk, prompt, "clip", "violence")
    assert (row.stage, row.versions["rule"]) == ("rules", f"{rule.pk} v1")
    assert row.versions["text"] >= 1
    (subject,) = safety_preview.refused(timezone.now())
    assert (subject.text, subject.refused_later) == (prompt, "")
    effect = safety_preview.effect(SwitchRule(str(rule.pk), "live", False), timezone.now())
    assert effect.groups[1].counts == [("refused", "admitted", 1)]


def test_of_one_stored_refusal_one_prompt_is_kept_for_thirty_days(plus):
    for prompt in (REFUSED, REFUSED + " again"):
        Client().post("/v1/videos", {"model": "pocket-video", "prompt": prompt}, headers=plus.auth)
    assert RefusedPrompt.objects.get().prompt == REFUSED
    with pytest.raises(DatabaseError), transaction.atomic():
        RefusedPrompt.objects.update(prompt="something else")
    now = timezone.now()
    assert refused_prompts.forget(now + timedelta(days=29)) == 0
    assert refused_prompts.forget(now + timedelta(days=31)) == 1
    assert not RefusedPrompt.objects.exists()


def test_a_frame_of_a_kept_clip_is_shown_small_and_blurred(plus):
    job = delivered(plus)
    scan = Scan.objects.get(subject=str(job.pk), purpose="final")
    jpeg = safety_preview.blurred_frame(scan.pk, 0)
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (128, 96))
        pixels = np.asarray(picture.convert("L"), dtype=float)
    sharp = textured(0, 96, 128).mean(axis=2)
    assert np.abs(np.diff(pixels, axis=1)).mean() < 0.25 * np.abs(np.diff(sharp, axis=1)).mean()
    assert safety_preview.blurred_frame(scan.pk, 99) is None
    assert safety_preview.blurred_frame(scan.pk + 1000, 0) is None
    effect = safety_preview.effect(ChangeScanPolicy("faces", "faces", "review"), timezone.now())
    (flip,) = effect.groups[0].flips
    assert (flip.before, flip.after, safety_preview.has_frame(flip)) == ("pass", "review", True)


def test_no_frame_is_shown_of_a_clip_that_is_gone_or_never_was(plus):
    job = delivered(plus)
    scan = Scan.objects.get(subject=str(job.pk), purpose="final")
    path = Asset.objects.get(job=job, role="video").path
    change = ChangeScanPolicy("faces", "faces", "review")
    (flip,) = safety_preview.effect(change, timezone.now()).groups[0].flips
    default_storage.delete(path)
    assert not safety_preview.has_frame(flip)
    assert safety_preview.blurred_frame(scan.pk, 0) is None
    Job.objects.filter(pk=job.pk).update(deleted_at=timezone.now())
    assert safety_preview.blurred_frame(scan.pk, 0) is None
    preview = scan_frames(textured(1)[np.newaxis], str(job.pk), 1)
    assert safety_preview.blurred_frame(preview.pk, 0) is None


def test_nothing_of_child_safety_is_ever_shown(plus):
    job = delivered(plus)
    marked = canary.paint(textured(1), "child_safety")[np.newaxis]
    scan = scan_frames(marked, str(job.pk), job.fence, "final")
    assert scan.verdict == "block"
    assert safety_preview.blurred_frame(scan.pk, 0) is None


def test_suspending_a_category_flips_the_requests_that_were_about_it(plus):
    client = Client()
    for prompt in (BALL, STAR):
        make_clip(client, plus, prompt=prompt)
    Job.objects.filter(prompt=BALL).update(screening={"category": "sport"})
    Job.objects.filter(prompt=STAR).update(screening={"category": "nature"})
    effect = safety_preview.effect(SuspendCategory("sport/clip", "clip_suspended", True), timezone.now())
    assert [flip.subject.text for flip in effect.groups[0].flips] == [BALL]
    assert effect.groups[0].flips[0].where == "suspended: Sport"


def test_a_suspended_category_is_refused_with_its_version_and_nothing_is_held(plus):
    client, now = Client(), timezone.now()
    topic = screen_prompt(BALL, "clip").topic
    assert topic
    action = SuspendCategory(f"{topic}/clip", "clip_suspended", True)
    entry = actions.perform(action, guardian(), "an incident", now + timedelta(hours=1))
    response = client.post("/v1/videos", {"model": "pocket-video", "prompt": BALL}, headers=plus.auth)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "category_suspended", "prompt")
    assert "not taken at the moment" in error["message"]
    assert response.headers["X-Should-Retry"] == "false"
    assert not Job.objects.exists()
    assert not Hold.objects.filter(organization=plus.organization).exists()
    row = RefusedPrompt.objects.get()
    assert (row.stage, row.category, row.about) == ("suspension", topic, [topic, topic])
    assert row.versions["suspension"] == f"{topic} 1+o{entry.undo['override']}"
    actions.revert(SuspendCategory.of_entry(entry), entry, guardian(), "over")
    job = job_of(make_clip(client, plus, prompt=BALL))
    assert job.screening["category"] == topic
    assert job.screening["policy_version"] > row.versions["text"]


def test_a_suspended_category_of_the_filter_takes_what_comes_near_to_it():
    state = policy_suspensions.states(timezone.now())["violence"]
    standing = {"violence": state}
    assert policy_suspensions.near(standing, {"violence": 0.5, "sexual": 1.0}) == ["violence"]
    assert policy_suspensions.near(standing, {"violence": 0.49}) == []
    assert policy_suspensions.near({"people": policy_suspensions.states(timezone.now())["people"]}, {}) == []


@pytest.mark.parametrize(
    ("field", "scores"), [("classifier_score", "classified"), ("similarity_score", "similar")]
)
def test_a_preview_of_a_text_threshold_equals_the_replay(plus, field, scores):
    client = Client()
    prompts = (BALL, STAR, "fireworks over a city", "a knight on a horse at the gate of a castle")
    for prompt in prompts:
        make_clip(client, plus, prompt=prompt)
    stored = list(Job.objects.values_list(f"screening__scores__{scores}", flat=True))
    by_category = {name: sorted(one[name] for one in stored) for name in stored[0]}
    # A category for which the filter tells two of the four from the others.
    category = max(by_category, key=lambda name: by_category[name][2] - by_category[name][1])
    _, low, high, _ = by_category[category]
    action = ChangeTextThreshold(f"{category}/clip", field, (low + high) / 2)
    told = safety_preview.effect(action, timezone.now())
    assert told.groups[0].looked == len(prompts)
    entry = actions.perform(action, guardian(), "a test", None)
    happened = {prompt for prompt in prompts if not screen_prompt(prompt, "clip").allowed}
    assert {flip.subject.text for flip in told.groups[0].flips} == happened
    assert len(happened) == 2
    for prompt in happened:
        screening = screen_prompt(prompt, "clip")
        assert screening.versions["threshold"].endswith(f"+o{entry.undo['override']}")
    actions.revert(ChangeTextThreshold.of_entry(entry), entry, guardian(), "over")
    assert all(screen_prompt(prompt, "clip").allowed for prompt in prompts)


def test_golden_prompts_are_read_by_the_filter_a_few_at_a_time():
    now = timezone.now()
    before = golden_texts.unread()
    assert before == golden.cases("prompt").count()
    assert golden_texts.read(now, limit=3) == 3
    assert golden_texts.unread() == before - 3
    read = [one for one in policy_seen.golden_texts("golden") if one.scores]
    assert len(read) == 3
    assert all(one.categories for one in read)
