"""Clips that the gates left to people, and the people: what tests of review stand on. Files and signatures are real."""

import hashlib
import uuid
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from accounts import staff
from accounts.models import StaffRole, User
from generation import finalization
from generation.afterwards import review_delivery
from generation.credentials import signing
from generation.finalization import Ran
from generation.models import Job
from safety.models import FrameClass, Reviewer, ReviewItem, Scan, Verdict
from safety.policy import thresholds
from safety.review import queue as review
from tests.generation.api_stage import Tenant, claimed, tenant
from tests.generation.queueing import submit
from tests.safety.clips import encoded, shape_world

FRAMES = 16


@pytest.fixture
def review_folders(settings, tmp_path):
    """Media, quarantine, work and signing folders of this test alone."""
    at = {"default": "media", "quarantine": "quarantine"}
    settings.STORAGES = {
        **settings.STORAGES,
        **{
            name: {**settings.STORAGES[name], "OPTIONS": {"location": str(tmp_path / folder)}}
            for name, folder in at.items()
        },
    }
    settings.SIGNING_BUDGET_SECONDS = 30  # a busy machine is not what these tests are about
    settings.WORK_ROOT, settings.SIGNING_ROOT = tmp_path / "work", tmp_path / "signing"
    return tmp_path


def reviewer(*classes: str) -> User:
    """Somebody of trust & safety; `classes` are named permissions beside those that everybody there has."""
    user = User.objects.create_user(f"reviewer-{uuid.uuid4().hex[:8]}@example.com")
    staff.grant(user, StaffRole.Role.TRUST_SAFETY, "test", "for this test")
    for name in classes:
        permit(user, name)
    return user


def permit(user: User, review_class: str) -> Reviewer:
    return Reviewer.objects.create(
        person=user, review_class=review_class, decides_escalated=True, author="test", reason="for this test"
    )


def scan_of(
    content: bytes, job: Job, fence: int, outcomes: dict[str, str] | None = None, frames: int = FRAMES
) -> Scan:
    """A finished final scan of a file, with `outcomes` by class on frame 5 and a pass everywhere else."""
    outcomes = outcomes or {}
    scan = Scan.objects.create(
        subject=str(job.pk),
        fence=fence,
        purpose="final",
        digest=hashlib.sha256(content).hexdigest(),
        frames_total=frames,
        policy_version=thresholds.policy_version(),
    )
    rows = []
    for name in FrameClass.values:
        every = range(frames) if name == FrameClass.CHILD_SAFETY else {*range(0, frames, 5), frames - 1}
        for index in every:
            outcome = outcomes.get(name, "pass") if index == 5 else "pass"
            rows.append(
                Verdict(
                    scan=scan,
                    gate="test",
                    gate_version="1",
                    frame_class=name,
                    frame_index=index,
                    score=0.0 if outcome == "pass" else 0.7,
                    outcome=outcome,
                    threshold_version="1",
                )
            )
    Verdict.objects.bulk_create(rows)
    worst = next((one for one in ("block", "unavailable", "review") if one in outcomes.values()), "pass")
    scan.verdict, scan.finished_at, scan.elapsed_ms = worst, timezone.now(), 1
    scan.reason = "" if worst == "pass" else f"{worst} for {next(iter(outcomes))} by test at frame 5"
    scan.frames_scanned = dict.fromkeys(FrameClass.values, frames)
    scan.save()
    return scan


def finishing(owner: Tenant | None = None, seed: int = 1):
    """A clip whose steps have run, with its encoded file: (job, lease, ran, file)."""
    job = submit(owner or tenant("plus"), seed=seed)
    _, lease = claimed()
    ran = Ran(gpu_ms=1_000, steps=job.steps, checkpoints=5, stages={"denoise": 1.0}, device="cpu")
    finalization.begin_finishing(lease, ran)
    job.refresh_from_db()
    return job, lease, ran, encoded(shape_world(FRAMES, seed=seed))


def in_review(
    folder: Path, owner: Tenant | None = None, outcomes: dict[str, str] | None = None, seed: int = 1
) -> tuple[Job, ReviewItem]:
    """A clip in state review with its item, as a worker leaves it."""
    job, lease, ran, content = finishing(owner, seed)
    path = folder / f"{job.pk}.mp4"
    path.write_bytes(content)
    scan = scan_of(content, job, lease.fence, outcomes or {"violence": "review"})
    review_delivery.send(lease, job, ran, scan, path)
    job.refresh_from_db()
    return job, ReviewItem.objects.get(subject=str(job.pk))


def delivered(folder: Path, owner: Tenant | None = None, seed: int = 1) -> Job:
    """A clip that passed, was signed and is delivered, with a real file in storage."""
    job, lease, ran, content = finishing(owner, seed)
    path = folder / f"{job.pk}.mp4"
    path.write_bytes(content)
    scan_of(content, job, lease.fence)
    own = folder / str(job.pk)
    own.mkdir()
    clip, *pictures = signing.stored_all(job, lease.fence, signing.sign_all(job, lease.fence, path, own))
    return finalization.deliver_clip(lease, clip, ran, pictures)


def decided(
    item: ReviewItem, person: User, verdict: str = "pass", reason: str = "looked at it"
) -> ReviewItem:
    """Claimed and decided, as the page does both."""
    review.claim(item.pk, person)
    return review_delivery.decide(item.pk, person, verdict, reason)


def stored_files() -> list[str]:
    """Every file in delivery's storage."""
    return _files(default_storage, "")


def _files(storage, folder: str) -> list[str]:
    if not storage.exists(folder or "."):
        return []
    folders, files = storage.listdir(folder)
    inside = [name for one in folders for name in _files(storage, f"{folder}/{one}".lstrip("/"))]
    return sorted([f"{folder}/{name}".lstrip("/") for name in files] + inside)
