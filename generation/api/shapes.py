"""How jobs and models look from outside. The Video object is the one the stock client parses; what it has no place for
stands under the one extra key `backlot`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet

from accounts.errors import ApiError
from generation.evaluation.effects import Measured, Variant
from generation.lineage.records import Relation
from generation.models import Asset, Attempt, Job, Kind, RegisteredModel, State
from generation.revisions.model_facts import CodeFacts
from generation.scheduling.standing import Standing
from safety.models import Credential

STATUS = {
    State.SCREENING: "queued",
    State.QUEUED: "queued",
    State.RUNNING: "in_progress",
    State.FINISHING: "in_progress",
    State.HELD: "in_progress",
    State.REVIEW: "in_progress",
    State.DELIVERED: "completed",
    State.WITHDRAWN: "failed",
    State.BLOCKED: "failed",
    State.CANCELLED: "failed",
    State.FAILED: "failed",
}
# Denoising is nearly all of a clip's time; what comes after it has no steps to count.
PROGRESS_OF_STEPS = 90
PROGRESS_AFTER_STEPS = {State.FINISHING: 92, State.HELD: 97, State.REVIEW: 97, State.DELIVERED: 100}
WITHDRAWN = {
    "code": "content_withdrawn",
    "message": "This clip was withdrawn from delivery after a safety review.",
}
MICRO = 1_000_000
# How often a client may ask: a tenth of the expected wait, between half a second and five.
POLL_LEAST_MS, POLL_MOST_MS, POLLS_PER_WAIT = 500, 5_000, 10


def visible_clips(organization_id: int) -> QuerySet[Job]:
    """The clips that an organization sees, with all that `video` reads: three queries, however many clips."""
    own_files = Prefetch("assets", Asset.objects.filter(role="video", removed_at=None), to_attr="live_assets")
    return (
        Job.objects.filter(organization_id=organization_id, kind=Kind.CLIP, deleted_at=None)
        .select_related("model", "lane__tier")
        .prefetch_related(
            Prefetch("attempts", Attempt.objects.filter(ended_at=None), to_attr="live_attempts"),
            own_files,
            # Two more queries where a repeat is among them, which delivers the file of another job.
            Prefetch("repeat_of", Job.objects.prefetch_related(own_files)),
        )
    )


def just_queued(job: Job) -> Job:
    """The job as `visible_clips` would give it, where no worker can have had it: nothing is read again.

    A repeated idempotency key may well give one that has gone on; that one is read.
    """
    if job.just_submitted:
        job.live_attempts, job.live_assets = [], []
        return job
    found = visible_clips(job.organization_id).filter(pk=job.pk).first()
    if found is None:
        message = "The clip that this Idempotency-Key made was deleted. With a new key it is made again."
        raise ApiError("not_found", message, param="Idempotency-Key")
    return found


def files_of(job: Job) -> list[Asset]:
    """What a job of visible_clips delivers: its own file, or that of the clip it repeats."""
    return job.repeat_of.live_assets if job.repeat_of_id else job.live_assets


def credential_states(jobs: Iterable[Job]) -> dict[str, str]:
    """Digest of a delivered file → how its credentials verified; one query for all jobs."""
    digests = [asset.digest for job in jobs for asset in files_of(job)]
    if not digests:
        return {}
    return dict(Credential.objects.filter(signed_digest__in=digests).values_list("signed_digest", "state"))


def video(job: Job, states: Mapping[str, str], standing: Standing | None = None) -> dict[str, Any]:
    """The Video object. `job` comes from visible_clips; `standing` is left out of lists, where it would cost a query
    per clip."""
    live = job.live_attempts[0] if job.live_attempts else None
    return {
        "id": job.public_id,
        "object": "video",
        "model": job.model.name,
        "status": STATUS[job.state],
        "progress": progress(job, live),
        "created_at": epoch(job.created_at),
        "completed_at": epoch(job.finished_at) if job.state == State.DELIVERED else None,
        "expires_at": epoch(job.expires_at) if job.state == State.DELIVERED else None,
        "size": f"{job.spec['width']}x{job.spec['height']}",
        "seconds": str(job.spec["seconds"]),
        "prompt": job.prompt,
        "remixed_from_video_id": job.parent_public_id if job.parent_relation == Relation.REMIX else None,
        "error": failure(job),
        "backlot": _extras(job, live, states, standing),
    }


def _extras(
    job: Job, live: Attempt | None, states: Mapping[str, str], standing: Standing | None
) -> dict[str, Any]:
    digest = next((asset.digest for asset in files_of(job)), None)
    return {
        "state": job.state,
        "stage": live.stage if live else job.state,
        "steps": job.steps,
        "steps_run": steps_run(job, live),
        "checkpoints": max(job.checkpoints, live.checkpoints if live else 0),
        "seed": job.seed,
        "repeat_of": job.repeat_of.public_id if job.repeat_of_id else None,
        "extends": job.parent_public_id if job.parent_relation == Relation.EXTENSION else None,
        "precision": precision(job),
        **where(standing),
        **money(job),
        "decision": str(job.decision_id),
        "credentials": states.get(digest) if digest else None,
        "stages": job.stages or (live.stages if live else {}),
    }


def precision(job: Job) -> str:
    """The precision that the job was admitted with; jobs from before it was recorded ran at the model's full one."""
    return job.spec.get("precision") or job.model.precision


def where(standing: Standing | None) -> dict[str, Any]:
    """Queue position from 1, seconds to the end with their interval, and why it waits; nulls where it doesn't."""
    return {
        "queue_position": standing.position if standing else None,
        "eta_s": standing.eta_s if standing else None,
        "eta_low_s": standing.eta_low_s if standing else None,
        "eta_high_s": standing.eta_high_s if standing else None,
        "waiting_because": standing.reason if standing else None,
    }


def money(job: Job) -> dict[str, Any]:
    """What was quoted and charged, in credits and exactly in micro-credits; the charge is null until the job ends."""
    return {
        "units": job.units_micro / MICRO,
        "quote": job.quote_micro / MICRO,
        "charge": None if job.charge_micro is None else job.charge_micro / MICRO,
        "quote_micro": job.quote_micro,
        "charge_micro": job.charge_micro,
    }


def progress(job: Job, live: Attempt | None) -> int:
    """Percent: the share of the steps that ran, then fixed marks for what follows the last step."""
    if job.state in PROGRESS_AFTER_STEPS:
        return PROGRESS_AFTER_STEPS[job.state]
    return PROGRESS_OF_STEPS * steps_run(job, live) // job.steps if job.steps else 0


def steps_run(job: Job, live: Attempt | None) -> int:
    return max(job.steps_run, live.step if live else 0)


def failure(job: Job) -> dict[str, str] | None:
    """The client's VideoCreateError, or None while nothing failed."""
    if job.state == State.WITHDRAWN:
        return WITHDRAWN
    if STATUS[job.state] != "failed":
        return None
    return {
        "code": job.error_code or job.state,
        "message": job.error_message or f"This job ended: {job.state_cause}.",
    }


def poll_after_ms(standing: Standing | None) -> int:
    """`openai-poll-after-ms`: the client reads it once and then keeps to it."""
    if standing is None or standing.eta_s is None:
        return POLL_LEAST_MS
    return int(min(POLL_MOST_MS, max(POLL_LEAST_MS, standing.eta_s * 1000 / POLLS_PER_WAIT)))


def model_object(model: RegisteredModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": epoch(model.created_at),
        "owned_by": "backlot",
        "backlot": {
            "kind": model.kind,
            "revision": model.revision,
            "description": model.description,
            **_can(model),
        },
    }


def _can(model: RegisteredModel) -> dict[str, Any]:
    """What the model can do, as far as it matters to who asks; the first precision is the full one."""
    can = model.can
    shared = {"precisions": list(can.precisions), "low_precision": can.low_precision}
    if isinstance(can, CodeFacts):
        return {"context": can.context, **shared}
    return {
        "sizes": list(can.sizes),
        "seconds": list(can.seconds),
        "fps": can.fps,
        "guidance": can.guidance,
        "steps_most": can.steps_most,
        "image_to_video": can.image_to_video,
        **shared,
    }


def measured_object(model: RegisteredModel, measured: Measured) -> dict[str, Any]:
    """The model with what was measured of it: its deploy gate, and match rates and speed per precision."""
    gate = measured.gate
    return {
        **model_object(model),
        "gate": {"at": gate.at, "passed": gate.passed, "figures": gate.figures} if gate else None,
        "variants": [_variant(variant) for variant in measured.variants],
    }


def _variant(variant: Variant) -> dict[str, Any]:
    run = variant.prompts
    return {
        "precision": variant.precision,
        "options": variant.options,
        "speed": variant.speed,
        "match_rates": {name: rate for name, rate in variant.rates.items() if name != "seconds"}
        if run
        else None,
        "seconds_per_clip": variant.rates["seconds"],
        "prompts": run.count if run else None,
        "seed": run.seed if run else None,
        "device": run.device if run else None,
        "measured_at": run.at if run else None,
    }


def epoch(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
