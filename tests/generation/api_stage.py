"""What the tests of the API stand on: tenants with keys, and clips brought to their end by the workers' own calls."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from accounts import keys, organizations
from accounts.models import ApiKey, Organization, User
from billing import ledger
from billing.models import Decision, Hold, Transaction
from generation import dispatch, finalization
from generation.finalization import Ran, SignedFile
from generation.models import Attempt, Job, Worker
from generation.scheduling.leases import Lease, lease_of
from safety.models import Credential, FrameClass, Scan, Verdict
from safety.policy import thresholds

FILM = bytes(range(256)) * 40  # 10,240 bytes that no two ranges share
CLIP = {
    "prompt": "A red circle moves right over a blue wall",
    "model": "pocket-video",
    "size": "64x64",
    "seconds": "2",
}
PICTURES = {"thumbnail": ("thumbnail.webp", "image/webp"), "spritesheet": ("spritesheet.jpg", "image/jpeg")}
CODE = {"prompt": "def fibonacci(n):\n", "model": "pocket-code", "max_tokens": 32}


@pytest.fixture
def media_folder(settings, tmp_path):
    """Stored files of this test alone."""
    backend = settings.STORAGES["default"]["BACKEND"]
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}},
    }
    return tmp_path


@dataclass(frozen=True)
class Tenant:
    """An organization, its owner and a key that may do everything."""

    organization: Organization
    owner: User
    key: ApiKey
    raw: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.raw}"}


def tenant(tier: str = "plus", credit: int = 100_000_000) -> Tenant:
    """A new organization on a tier, with purchased credit in micro-credits."""
    name = f"{tier}-{uuid.uuid4().hex[:8]}"
    owner = User.objects.create_user(f"{name}@example.com")
    organization = organizations.create(name, tier, owner)
    if credit:
        ledger.grant(
            organization.pk, credit, bucket="purchased", idempotency_key=name, reason="for this test"
        )
    key, raw = keys.create(organization, "test", keys.SCOPES, owner)
    return Tenant(organization, owner, key, raw)


def counts(tenant: Tenant) -> dict[str, int]:
    """What must not grow when a request is refused as bad input: jobs, holds, decisions and money moved."""
    return {
        model.__name__: model.objects.filter(organization=tenant.organization).count()
        for model in (Job, Hold, Decision, Transaction)
    }


def make_clip(client: Client, tenant: Tenant, **fields) -> dict:
    """A queued clip through HTTP, as the stock client sends it."""
    response = client.post("/v1/videos", {**CLIP, **fields}, headers=tenant.auth)
    assert response.status_code == 200, response.content
    return response.json()


def job_of(video: dict) -> Job:
    return Job.objects.get(pk=uuid.UUID(video["id"].rpartition("_")[2]))


def worker(pool: str = "clips") -> Worker:
    return Worker.objects.create(pool_id=pool, host="test", pid=1, device="cpu", seen_at=timezone.now())


def claimed(pool: str = "clips") -> tuple[Attempt, Lease]:
    """The next job of a pool, running under a lease."""
    attempt = dispatch.claim(worker(pool), pool)
    return attempt, lease_of(attempt)


def deliver(
    job: Job, film: bytes = FILM, *, own_digest: bool = False, pictures: Mapping[str, bytes] | None = None
) -> Job:
    """Take the waiting clip all the way, with the scan, the credentials and the file that the database asks for.

    `own_digest`: the file's row has its true sha256, for who looks at that. `pictures` by role are stored beside it.
    """
    attempt, lease = claimed()
    assert attempt.job_id == job.pk, "another clip waits as well"
    path = f"clips/{job.pk}/{lease.fence}/clip.mp4"
    default_storage.save(path, ContentFile(film))
    scanned, signed = (
        hashlib.sha256(b"scanned" + path.encode()).hexdigest(),
        hashlib.sha256(film if own_digest else path.encode()).hexdigest(),
    )
    _pass_scan(job, lease.fence, scanned)
    _sign(job, lease.fence, unsigned_digest=scanned, signed_digest=signed)
    ran = Ran(gpu_ms=1_000, steps=job.steps, checkpoints=5, stages={"denoise": 1.0}, device="cpu")
    finalization.begin_finishing(lease, ran)
    file = SignedFile(path=path, media_type="video/mp4", bytes=len(film), digest=signed)
    beside = [
        _picture(job, lease.fence, role, content, scanned) for role, content in (pictures or {}).items()
    ]
    return finalization.deliver_clip(lease, file, ran, beside)


def _picture(job: Job, fence: int, role: str, content: bytes, scanned: str) -> SignedFile:
    name, media_type = PICTURES[role]
    path = f"clips/{job.pk}/{fence}/{name}"
    default_storage.save(path, ContentFile(content))
    unsigned, signed = (
        hashlib.sha256(f"{word}{path}".encode()).hexdigest() for word in ("unsigned", "signed")
    )
    _sign(job, fence, unsigned_digest=unsigned, signed_digest=signed, scanned_digest=scanned)
    return SignedFile(path, media_type, len(content), signed, role)


def _sign(job: Job, fence: int, **digests: str) -> None:
    row = {"state": "Trusted", "signer_fingerprint": "0" * 64, "claims": {}}
    Credential.objects.create(subject=str(job.pk), fence=fence, **digests, **row)


def withdraw(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state="withdrawn", state_cause="a test withdrew it")


def _pass_scan(job: Job, fence: int, digest: str) -> None:
    scan = Scan.objects.create(
        subject=str(job.pk),
        fence=fence,
        purpose="final",
        digest=digest,
        frames_total=1,
        policy_version=thresholds.policy_version(),
    )
    classes = [FrameClass.CHILD_SAFETY, *(name for name in FrameClass if name != FrameClass.CHILD_SAFETY)]
    Verdict.objects.bulk_create(
        Verdict(
            scan=scan,
            gate="test",
            gate_version="1",
            frame_class=name,
            frame_index=0,
            score=0.0,
            outcome="pass",
            threshold_version="1",
        )
        for name in classes
    )
    scan.verdict, scan.finished_at, scan.elapsed_ms = "pass", timezone.now(), 1
    scan.frames_scanned = dict.fromkeys(classes, 1)
    scan.save()
