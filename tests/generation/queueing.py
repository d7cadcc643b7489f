"""What the tests of scheduling stand on: jobs that were really admitted, and workers that are only rows."""

import os

from django.utils import timezone

from accounts import batch
from accounts.identity import Caller
from generation import admission, dispatch, finalization
from generation.finalization import Ran
from generation.models import Attempt, Job, Worker
from generation.scheduling import overload
from generation.scheduling.leases import lease_of
from tests.generation.api_stage import Tenant

CLIP = {"prompt": "a red circle moves right over grass", "model": "pocket-video"}
# A list that the model seldom ends soon, so that there is a middle to interrupt.
CODE = {"prompt": "names = ['alpha', 'beta', 'gamma', ", "model": "pocket-code", "max_tokens": 16}


def caller(tenant: Tenant) -> Caller:
    return Caller(tenant.organization, tenant.owner, None, frozenset({"read", "generate"}))


def submit(tenant: Tenant, **fields) -> Job:
    return admission.submit_clip(caller(tenant), CLIP | fields)


def submit_many(tenant: Tenant, count: int, **fields) -> list[Job]:
    return [submit(tenant, **fields) for _ in range(count)]


def submit_code(tenant: Tenant, **fields) -> Job:
    return admission.submit_code(caller(tenant), CODE | fields)


def crowd(tenant: Tenant, kind: str = "clip") -> overload.Crowd:
    """What an admission of the tenant's would find waiting."""
    return overload.Crowd(*batch.read(overload.crowd_of(tenant.organization.pk, kind, timezone.now())))


def idle_worker(pool: str = "clips") -> Worker:
    """A row as a real process writes it; nothing runs behind it."""
    return Worker.objects.create(
        pool_id=pool, host="test", pid=os.getpid(), device="cpu", seen_at=timezone.now()
    )


def claim(worker: Worker) -> Attempt | None:
    return dispatch.claim(worker, worker.pool_id)


def end_as_cancelled(attempt: Attempt, gpu_ms: int = 0, steps: int = 0) -> Job:
    """End an attempt the cheapest lawful way: its owner stopped it."""
    return finalization.cancel_running(lease_of(attempt), Ran(gpu_ms=gpu_ms, steps=steps))
