"""An attempt in its job's trace: the claim, and once it has ended the attempt with its stages, from its stopwatch.

Told in one piece at the end, so that no step pays for it; an attempt that was lost with its process tells nothing, its
successor does. In the words of OpenTelemetry's conventions for generative models where those have one.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from accounts import log_context, tracing
from accounts.tracing import CONSUMER, Attributes, Past, Value
from generation.code import dialects
from generation.models import Attempt, Job, TokenSegment
from generation.tracing import contexts
from generation.worker.stages import Stopwatch

if TYPE_CHECKING:
    from generation.worker.clip_turn import ClipTurn
    from generation.worker.code_attempt import CodeTurn

OPERATIONS = {"completion": "text_completion"}  # the other contracts are conversations
ENDED_BADLY = ("lost", "failed")


@contextmanager
def under_way(attempt: Attempt, asked_ns: int, ticket: str = "") -> Iterator[None]:
    """Around an attempt: its ids stand on every log line, and what it tells belongs to its job's trace.

    `asked_ns` is when the claim began, in nanoseconds since 1970, `ticket` the traceparent of what started it.
    """
    ids = {
        "job": str(attempt.job_id),
        "attempt": str(attempt.fence),
        "decision": str(attempt.job.decision_id),
    }
    if not tracing.on():
        with log_context.about(**ids):
            yield
        return
    parent = contexts.of(attempt.job_id)
    claim = tracing.past(
        Past("claim", parent, asked_ns, time.time_ns(), _of_claim(attempt), CONSUMER, links=(ticket,))
    )
    with log_context.about(**ids, trace_id=tracing.trace_id(claim)), tracing.under(claim):
        yield


def tell_clip(turn: "ClipTurn") -> None:
    """The attempt has ended, one way or another."""
    if tracing.on():
        figures = {
            "backlot.steps": turn.state.index if turn.state else 0,
            "backlot.steps_resumed": turn.began_at,
        }
        _tell(turn.attempt, turn.watch, "run clip", figures)


def tell_code(turn: "CodeTurn") -> None:
    """The same of a completion, as a call of a generative model."""
    if tracing.on():
        operation = OPERATIONS.get(turn.job.spec.get("dialect", dialects.COMPLETION.name), "chat")
        _tell(turn.attempt, turn.watch, f"{operation} {turn.job.model.name}", _of_code(turn, operation))


def _tell(attempt: Attempt, watch: Stopwatch, name: str, figures: Attributes) -> None:
    outcome = Attempt.objects.values_list("outcome", flat=True).get(pk=attempt.pk)
    attributes = (
        _of_claim(attempt)
        | figures
        | {
            "backlot.outcome": outcome,
            "backlot.device_ms": watch.gpu_ms,
        }
    )
    failed = outcome if outcome in ENDED_BADLY else ""
    began = watch.began_ns
    told = tracing.past(Past(name, tracing.here(), began, time.time_ns(), attributes, CONSUMER, failed))
    for stage, start_ms, end_ms in watch.trace:
        tracing.past(Past(stage, told, began + start_ms * 1_000_000, began + end_ms * 1_000_000))


def _of_claim(attempt: Attempt) -> dict[str, Value]:
    job: Job = attempt.job
    waited = (attempt.started_at - job.queued_at).total_seconds()
    return {
        "backlot.job": job.public_id,
        "backlot.attempt": attempt.fence,
        "backlot.decision": str(job.decision_id),
        "backlot.lane": attempt.lane_id,
        "backlot.model": str(job.model),
        "backlot.since_queued_s": round(waited, 3),
    }


def _of_code(turn: "CodeTurn", operation: str) -> dict[str, Value]:
    job, ran, spec = turn.job, turn.ran, turn.job.spec
    told: dict[str, Value] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "backlot",
        "gen_ai.output.type": "json" if spec.get("structure") else "text",
        "gen_ai.request.model": job.model.name,
        "gen_ai.response.model": str(job.model),
        "gen_ai.response.id": job.public_id,
        "gen_ai.request.max_tokens": spec["max_tokens"],
        "gen_ai.request.temperature": float(spec["temperature"]),
        "gen_ai.request.top_p": float(spec["top_p"]),
        "gen_ai.request.seed": job.seed,
        "gen_ai.usage.input_tokens": ran.tokens_in,
        "gen_ai.usage.output_tokens": ran.tokens_out,
    }
    finish_reason = Job.objects.values_list("finish_reason", flat=True).get(pk=job.pk)
    if finish_reason:
        told["gen_ai.response.finish_reasons"] = [finish_reason]
    first = TokenSegment.objects.filter(job=job, seq=1).values_list("at", flat=True).first()
    if first is not None:
        told["gen_ai.response.time_to_first_chunk"] = round((first - job.queued_at).total_seconds(), 4)
    return told
