"""From a request to a queued job: checked and screened; then decided, held and written in ONE transaction."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import batch, log_context, tracing
from accounts.errors import ApiError
from accounts.group_commit import GroupCommit
from accounts.identity import Caller
from billing import access, waterfall
from billing.models import Decision
from billing.payments import top_up
from generation import finalization, registry, repeat_cache, specs
from generation.afterwards import refused_prompts
from generation.code.dialects import prompt_field
from generation.inputs import input_images
from generation.lineage.parents import Parent
from generation.models import Job, Kind, Lane, State
from generation.scheduling import overload, routing, tickets
from generation.tracing import contexts
from generation.weighing import Weighed, weigh_clip, weigh_code
from safety.policy import suspensions as policy_suspensions
from safety.prefilter import cascade
from safety.prefilter.cascade import screen_prompt

AT_ONCE = 16  # requests of one wallet that share a transaction at most


def submit_clip(
    caller: Caller,
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    source: str = "api",
    parent: Parent | None = None,
) -> Job:
    """Queue a clip. `fields` are the request's own values; raises `ApiError`, and then nothing is queued or held.

    `parent` is the clip that it is made from (generation/lineage).
    """
    return _submit(caller, Kind.CLIP, weigh_clip, fields, idempotency_key, source, parent)


def submit_code(
    caller: Caller, fields: Mapping[str, Any], *, idempotency_key: str | None = None, source: str = "api"
) -> Job:
    """Queue a completion; as `submit_clip`."""
    return _submit(caller, Kind.CODE, weigh_code, fields, idempotency_key, source)


def quote_clip(caller: Caller, fields: Mapping[str, Any]) -> dict:
    """What a clip would cost and from where; nothing is held, nothing is written."""
    return _quote(caller, weigh_clip(caller, fields, timezone.now()))


def quote_code(caller: Caller, fields: Mapping[str, Any]) -> dict:
    """What a completion would cost at most; nothing is held, nothing is written."""
    return _quote(caller, weigh_code(caller, fields, timezone.now()))


def _submit(
    caller: Caller,
    kind: str,
    weigh: Callable[[Caller, Mapping[str, Any], datetime], Weighed],
    fields: Mapping[str, Any],
    idempotency_key: str | None,
    source: str,
    parent: Parent | None = None,
) -> Job:
    request_hash = _request_hash(fields, parent)
    known = _known(caller, kind, idempotency_key, request_hash)
    if known:
        return known
    now = timezone.now()
    with cascade.begun(
        fields.get("prompt"), kind
    ) as underway:  # the scorer works while the request is weighed
        weighed = weigh(caller, fields, now)
        with tracing.span("screen prompt"):
            screening = _screened(caller, weighed, now, underway)
    lane = routing.lane_for(weighed.lanes, weighed.model, weighed.spec.precision)
    repeats = _repeated(caller, weighed, fields)
    if repeats is None:
        overload.require_room(weighed.crowd, lane, weighed.model, weighed.gpu_ms, now)
    with input_images.kept(fields.get("input_reference")) as picture:
        return _admitted(
            _Asked(
                caller,
                weighed,
                screening,
                idempotency_key,
                request_hash,
                source,
                lane,
                repeats,
                picture,
                parent,
            ),
            now,
        )


def _request_hash(fields: Mapping[str, Any], parent: Parent | None) -> str:
    """What tells one request from another under the same Idempotency-Key."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    return specs.digest({**given, "parent": str(parent)} if parent else given)


def _admitted(asked: "_Asked", now: datetime) -> Job:
    """The job; a refusal is raised once it is stored."""
    try:
        job, decision = _decided(asked, now)
    except IntegrityError:
        # The same key came twice at once: the other request won, this one takes its answer and holds nothing.
        known = _known(asked.caller, asked.weighed.kind, asked.idempotency_key, asked.request_hash)
        if known:
            return known
        registry.require_active(asked.weighed.model)
        if asked.parent:
            asked.parent.require_now()
        if asked.repeats is None:
            raise
        # What it repeats was deleted or withdrawn just now: it is made anew.
        job, decision = _decided(replace(asked, repeats=None), now)
    if job is None:
        raise access.refusal(decision)
    if asked.picture:
        asked.picture.adopted = True
    return job


def _known(caller: Caller, kind: str, key: str | None, request_hash: str) -> Job | None:
    """The job that this idempotency key made before; with another body the key is refused."""
    if not key:
        return None
    found = Job.objects.filter(organization=caller.organization, kind=kind, idempotency_key=key)
    job = found.select_related("model", "lane").first()
    if job and job.request_hash != request_hash:
        message = "This Idempotency-Key was used with another body. Use a new key for a new request."
        raise ApiError("idempotency_key_reused", message)
    return job


def _screened(
    caller: Caller, weighed: Weighed, now: datetime, underway: cascade.Underway | None = None
) -> dict:
    """The text cascade, before anything is held. A refusal is a stored decision with the category."""
    screening = screen_prompt(weighed.spec.prompt, weighed.kind, underway)
    if not screening.allowed:
        refusal = _refusal(screening, weighed.kind)
        decision = access.turn_away(
            _request(caller, weighed, uuid.uuid4()),
            weighed.terms,
            now,
            layer=waterfall.TEXT_FILTER,
            refusal=refusal,
            cause=f"{refusal.code}:{weighed.kind}:{screening.category}",
        )
        log_context.note(decision=str(decision.pk))
        refused_prompts.keep(decision, weighed.spec.prompt, weighed.kind, screening)
        param = prompt_field(weighed.spec.dialect) if weighed.kind == Kind.CODE else "prompt"
        raise access.refusal(decision, param=param)
    return screening.record()


def _refusal(screening: cascade.Screening, kind: str) -> waterfall.Refusal:
    """Why a text isn't taken, and what would be."""
    if screening.suspended:
        told = policy_suspensions.message(screening.suspended, kind)
        way = "A request about something else, or the same one later."
        return waterfall.Refusal("category_suspended", told, way, None)
    told = f"This prompt was refused by policy ({screening.category})."
    way = "The same request with a prompt that asks for something else."
    return waterfall.Refusal("moderation_blocked", told, way, None)


def _request(caller: Caller, weighed: Weighed, job_id: uuid.UUID) -> access.AccessRequest:
    return access.AccessRequest(
        organization_id=caller.organization.pk,
        user_id=caller.user.pk if caller.user else None,
        api_key_id=caller.api_key.pk if caller.api_key else None,
        operation=weighed.kind,
        subject=str(job_id),
        units_micro=weighed.units_micro,
        model=str(weighed.model),
    )


@dataclass(frozen=True)
class _Asked:
    """A screened request, on its way to a decision."""

    caller: Caller
    weighed: Weighed
    screening: dict
    idempotency_key: str | None
    request_hash: str
    source: str
    lane: Lane
    repeats: Job | None
    picture: input_images.StoredPicture | None = None
    parent: Parent | None = None


def _repeated(caller: Caller, weighed: Weighed, fields: Mapping[str, Any]) -> Job | None:
    """The finished clip that the request repeats exactly. Without a seed of its own it can't: it gets a new one.

    With a picture it doesn't either: what was sent is scanned, whatever was made of it before.
    """
    if weighed.kind != Kind.CLIP or fields.get("seed") in (None, "") or weighed.spec.image:
        return None
    return repeat_cache.find(caller.organization.pk, specs.spec_hash(weighed.spec, weighed.model))


def _decided(asked: _Asked, now: datetime) -> tuple[Job | None, Decision]:
    with tracing.span("decide") as span:
        job, decision = _decide(asked, now)
        if job is None and decision.top_up_helps and _topped_up(asked.caller, decision):
            job, decision = _decide(asked, timezone.now(), top_up_tried=True)
        ids = {"decision": str(decision.pk)} | ({"job": str(job.pk)} if job else {})
        log_context.note(**ids)
        if tracing.on():
            span.set(
                backlot__allowed=decision.allowed, **{f"backlot__{name}": one for name, one in ids.items()}
            )
    return job, decision


def _topped_up(caller: Caller, decision: Decision) -> bool:
    """Buy what the refused request lacks, with the card that was kept. Between two transactions, with no lock held."""
    return top_up.cover(caller.organization.pk, decision.quote_micro, timezone.now())


def _decide(asked: _Asked, now: datetime, *, top_up_tried: bool = False) -> tuple[Job | None, Decision]:
    """In ONE transaction: the decision (which locks the wallet), its hold, and the job, whose model stays active.

    Requests of one wallet that come at once share it. A repeat is settled there and then, so it has one of its own; a
    lane of the key keeps what a transaction locks behind the wallet to one row.
    """
    job_id = uuid.uuid4()
    turn = _Turn(asked, now, top_up_tried, job_id, contexts.insertion(job_id))
    if asked.repeats is not None:
        return _together([turn])[0]
    job, decision = _turns.ask((asked.caller.organization.pk, asked.lane.pk), turn)
    if job is not None:
        tickets.send_after_commit(asked.lane.pool_id)
    return job, decision


@dataclass(frozen=True)
class _Turn:
    """A request at its decision. Its trace is that of the thread it came in, whoever carries it out."""

    asked: _Asked
    now: datetime
    top_up_tried: bool
    job_id: uuid.UUID
    trace: list[batch.Statement]
    made: list[Job] = field(default_factory=list)

    def question(self) -> access.Question:
        request = _request(self.asked.caller, self.asked.weighed, self.job_id)
        return access.Question(
            request, self.asked.weighed.terms, self.now, self.top_up_tried, self._with_hold
        )

    def _with_hold(self, decision: Decision) -> list[batch.Statement]:
        job, picture = _job(self.asked, self.job_id, decision, self.now), self.asked.picture
        self.made.append(job)
        pictures = [batch.insertion(picture.row(job))] if picture else []
        return [batch.insertion(job), *pictures, *self.trace]


@transaction.atomic
def _together(turns: Sequence[_Turn]) -> list[tuple[Job | None, Decision]]:
    decisions = access.decide_each([turn.question() for turn in turns])
    return [_made(turn, decision) for turn, decision in zip(turns, decisions, strict=True)]


_turns = GroupCommit(_together, AT_ONCE)


def _made(turn: _Turn, decision: Decision) -> tuple[Job | None, Decision]:
    if not decision.allowed:
        return None, decision
    job = turn.made[-1]  # of a turn that is taken again alone, the one that was written
    job._state.adding, job.just_submitted = False, True
    if turn.asked.repeats is not None:
        job.just_submitted = False
        return finalization.deliver_repeat(job), decision
    return job, decision


def _job(asked: _Asked, job_id: uuid.UUID, decision: Decision, now: datetime) -> Job:
    caller, weighed, spec = asked.caller, asked.weighed, asked.weighed.spec
    return Job(
        id=job_id,
        organization=caller.organization,
        created_by=caller.user,
        api_key=caller.api_key,
        source=asked.source,
        kind=weighed.kind,
        # What a clip begins from is looked at first, as a stage of its own (generation/inputs/screening.py).
        state=State.SCREENING if asked.picture else State.QUEUED,
        model=weighed.model,
        lane=asked.lane,
        repeat_of=asked.repeats,
        parent=asked.parent.job if asked.parent else None,
        parent_relation=asked.parent.relation if asked.parent else "",
        prompt=spec.prompt,
        spec=specs.stored(spec),
        spec_hash=specs.spec_hash(spec, weighed.model),
        seed=spec.seed,
        steps=getattr(spec, "steps", 0),
        tokens_in=getattr(spec, "prompt_tokens", 0),
        units_micro=weighed.units_micro,
        estimate_gpu_ms=weighed.gpu_ms,
        quote_micro=decision.quote_micro,
        hold=decision.hold_taken,
        decision=decision,
        screening=asked.screening,
        idempotency_key=asked.idempotency_key or None,
        request_hash=asked.request_hash,
        queued_at=now,
    )


def _quote(caller: Caller, weighed: Weighed) -> dict:
    quote = access.quote(
        caller.organization.pk,
        weighed.units_micro,
        timezone.now(),
        operation=weighed.kind,
        terms=weighed.terms,
        user_id=caller.user.pk if caller.user else None,
        api_key_id=caller.api_key.pk if caller.api_key else None,
    )
    model, spec = weighed.model, specs.stored(weighed.spec)
    return {
        "model": model.name,
        "spec": spec,
        "full_precision": model.precision,
        "low_precision": spec["precision"] != model.precision,
        "gpu_ms": weighed.gpu_ms,
        "quote": quote,
    }
