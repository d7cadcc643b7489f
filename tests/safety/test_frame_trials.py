"""Figures about the gates by seeded trials; the long forms are those that docs/safety-frames.md tells of."""

import numpy as np
import pytest
from PIL import Image

from safety.postfilter import canary, gates, hash_list, judging
from safety.postfilter.scan import scan_file, scan_frames
from tests.safety import frame_trials
from tests.safety.clips import encoded, shape_world

FRAMES = 240
SIZE = 180, 320
CLIP = shape_world(FRAMES)


@pytest.fixture(autouse=True)
def _gates_with_time(settings):
    """New gates, which may take theirs: the trials are of what is recognised, not of how busy the machine is."""
    gates._made.cache_clear()
    settings.SAFETY_GATE_SECONDS = settings.SAFETY_SCAN_SECONDS = 3_600


def marked(name: str, start: int, length: int = 1) -> np.ndarray:
    frames = CLIP.copy()
    frames[start : start + length] = canary.paint(CLIP[0], name)
    return frames


def one_bad_frame(trials: int, seed: int) -> int:
    """How many of so many clips of 240 frames, each with one bad frame somewhere, were blocked at that frame."""
    caught = 0
    for position in np.random.default_rng(seed).integers(0, FRAMES, trials):
        scan = scan_frames(marked("child_safety", int(position)), "p", 1)
        caught += scan.reason == f"block for child_safety by canary-marks at frame {position}"
    return caught


def one_registered_picture(trials: int, seed: int) -> list[tuple[int, str]]:
    """The same with a registered picture, saved as JPEG and perhaps mirrored: where it was not blocked at its very
    frame, and what was said instead."""
    rng, otherwise = np.random.default_rng(seed), []
    pictures = [frame_trials.KINDS[number % 3](number, *SIZE) for number in range(12)]
    for number, picture in enumerate(pictures):
        hash_list.register(picture, source="test", author="Synthetic pictures", note=f"synthetic {number}")
    clip = shape_world(FRAMES, *SIZE)
    for position in rng.integers(0, FRAMES, trials):
        changed = frame_trials.jpeg(Image.fromarray(pictures[rng.integers(len(pictures))]), rng)
        changed = frame_trials.mirrored(changed, rng) if rng.random() < 0.5 else changed
        kept, clip[position] = clip[position].copy(), np.asarray(changed)
        scan = scan_frames(clip, "p", 1)
        if scan.reason != f"block for child_safety by pdq-hash-list at frame {position}":
            otherwise.append((int(position), f"{scan.verdict}: {scan.reason}"))
        clip[position] = kept
    return otherwise


def runs(trials: int, seed: int) -> dict[int, tuple[int, int, int]]:
    """Run length → (trials, blocked, blocked by what sampling every fifth, the first and the last predicts)."""
    rng, found = np.random.default_rng(seed), {}
    sample = set(judging.sampled_frames(FRAMES, 5))
    for length in range(1, 7):
        starts = rng.integers(0, FRAMES - length + 1, trials)
        blocked = sum(
            scan_frames(marked("violence", int(s), length), "p", 1).verdict == "block" for s in starts
        )
        predicted = sum(not sample.isdisjoint(range(s, s + length)) for s in starts)
        found[length] = trials, blocked, predicted
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("trials", [4, pytest.param(1000, marks=pytest.mark.long)])
def test_one_bad_frame_at_any_of_240_positions_is_always_caught(trials):
    assert one_bad_frame(trials, seed=240) == trials


@pytest.mark.django_db
@pytest.mark.parametrize("trials", [2, pytest.param(1000, marks=pytest.mark.long)])
def test_one_registered_picture_at_any_of_240_positions_is_always_caught(trials):
    assert one_registered_picture(trials, seed=241) == []


@pytest.mark.django_db
def test_the_first_and_the_last_frame_of_an_encoded_file_are_looked_at_too(tmp_path):
    path = tmp_path / "clip.mp4"
    for position in (0, FRAMES - 1):
        path.write_bytes(encoded(marked("child_safety", position)))
        assert scan_file(path, "p", 1, FRAMES).reason.endswith(f"at frame {position}")


@pytest.mark.django_db
@pytest.mark.parametrize("trials", [1, pytest.param(100, marks=pytest.mark.long)])
def test_sampled_classes_are_caught_as_often_as_sampling_predicts(trials):
    found = runs(trials, seed=5)
    assert all(blocked == predicted for _, blocked, predicted in found.values())
    assert found[5][1] == found[6][1] == trials  # five in a row never slip through


def claimed_trials(trials: int, pictures: int) -> frame_trials.Tally:
    listed, whole = frame_trials.registered(pictures), frame_trials.Tally()
    rng = np.random.default_rng(20261122)
    for change in frame_trials.CLAIMED.values():
        any_crf = change is frame_trials.untouched
        tally = frame_trials.trial(listed, change, trials, rng, any_crf=any_crf)
        whole.trials, whole.caught = whole.trials + tally.trials, whole.caught + tally.caught
    return whole


def test_registered_pictures_are_caught_through_every_change_that_is_claimed():
    tally = claimed_trials(trials=4, pictures=9)
    assert tally.caught == tally.trials == 40


@pytest.mark.long
def test_of_thirty_thousand_changed_pictures_all_but_three_are_caught():
    tally = claimed_trials(trials=3_000, pictures=600)
    assert tally.trials == 30_000
    assert tally.rate >= 0.9999


@pytest.mark.parametrize("frames", [64, pytest.param(20_000, marks=pytest.mark.long)])
def test_frames_that_nobody_listed_are_not_taken_for_listed_ones(frames):
    listed = frame_trials.registered(9, others=50_000)
    assert frame_trials.false_positives(listed, frame_trials.benign(frames)) == (0, frames)
