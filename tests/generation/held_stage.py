"""Clips that are made, scanned and waiting for the signer, by the workers' own calls, without a model."""

from pathlib import Path

import numpy as np

from generation import finalization
from generation.credentials import held, signing
from generation.finalization import Ran
from generation.models import Job
from generation.scheduling.leases import Lease
from generation.worker.encoding import encode
from safety.postfilter.scan import scan_file
from tests.generation.api_stage import Tenant, claimed
from tests.generation.queueing import submit
from tests.safety.clips import shape_world


def frames_of(job: Job) -> np.ndarray:
    """As many harmless frames as the job asked for, uint8 RGB."""
    count = job.spec["fps"] * job.spec["seconds"]
    return shape_world(count, job.spec["height"], job.spec["width"], seed=job.seed % 1000)


def scanned_clip(tenant: Tenant, folder: Path, **fields) -> tuple[Job, Lease, Path, Ran]:
    """A job in `finishing` with its encoded file, whose scan passed."""
    job = submit(tenant, **fields)
    _, lease = claimed()
    assert lease.job_id == job.pk, "another clip waits as well"
    ran = Ran(gpu_ms=1_000, steps=job.steps, checkpoints=3, device="cpu")
    finalization.begin_finishing(lease, ran)
    unsigned = folder / f"{job.pk}.mp4"
    encode(frames_of(job), job.spec["fps"], unsigned)
    scan = scan_file(
        unsigned, str(job.pk), lease.fence, expected_frames=job.spec["fps"] * job.spec["seconds"]
    )
    assert scan.verdict == "pass", scan.reason
    job.refresh_from_db()
    return job, lease, unsigned, ran


def held_clip(tenant: Tenant, folder: Path, **fields) -> Job:
    """A job in `held`, as the finishing worker leaves it when the signer refuses."""
    job, lease, unsigned, ran = scanned_clip(tenant, folder, **fields)
    signing.keep_unsigned(job, lease.fence, unsigned)
    return held.hold(lease, ran, "the signer did not answer")


def delivered_clip(tenant: Tenant, folder: Path, **fields) -> Job:
    """A job in `delivered`, with its clip, thumbnail and sprite sheet signed in storage."""
    job, lease, unsigned, ran = scanned_clip(tenant, folder, **fields)
    signed = signing.sign_all(job, lease.fence, unsigned, folder)
    clip, *pictures = signing.stored_all(job, lease.fence, signed)
    return finalization.deliver_clip(lease, clip, ran, pictures)
