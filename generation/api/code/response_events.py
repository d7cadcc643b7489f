"""A response and its events, as the responses contract words them.

Numbers of events follow from the segments: four events open a response, then each segment is one, then four close it.
So a stream can be followed behind any of them without anything being kept for it.
"""

from typing import Any
from uuid import UUID

from generation.api import shapes, sse
from generation.api.code import streaming
from generation.api.code.kept import Kept
from generation.api.code.streaming import Ending
from generation.code import conversation
from generation.code.partial import Partial
from generation.models import Job, State
from generation.streams import TokenEvent

FIRST_DELTA = 4
STATUS = {
    State.QUEUED: "queued",
    State.SCREENING: "queued",
    State.RUNNING: "in_progress",
    State.FINISHING: "in_progress",
    State.DELIVERED: "completed",
    State.CANCELLED: "cancelled",
}


class Responses:
    """An answer as events, the last ones with the whole text. Of the opening events `skipped` are left out."""

    needs_job = True

    def __init__(self, skipped: int = 0) -> None:
        self.skipped = skipped

    def opening(self, job: Job) -> list[bytes]:
        begun = response_object(job, status="in_progress")
        item = {**_item(job.pk, "", "in_progress"), "content": []}
        return [
            _event(0, "response.created", response=begun),
            _event(1, "response.in_progress", response=begun),
            _event(2, "response.output_item.added", output_index=0, item=item),
            _event(3, "response.content_part.added", **_place(job.pk), part=_part("")),
        ][self.skipped :]

    def piece(self, kept: Kept, token: TokenEvent) -> list[bytes]:
        number = FIRST_DELTA - 1 + token.seq
        return [
            _event(number, "response.output_text.delta", **_place(kept.id), delta=token.text, logprobs=[])
        ]

    def ending(self, kept: Kept, ending: Ending, include_usage: bool) -> list[bytes]:
        number, text = FIRST_DELTA - 1 + ending.token.seq, ending.text
        whole = ending.token.finish_reason != "length"
        status = "completed" if whole else "incomplete"
        usage = ending.token.usage
        last = response_object(ending.job, text, ending.partial, status=status, usage=usage, sent=True)
        item, place = _item(kept.id, text, status), _place(kept.id)
        return [
            _event(number, "response.output_text.done", **place, text=text, logprobs=[]),
            _event(number + 1, "response.content_part.done", **place, part=_part(text)),
            _event(number + 2, "response.output_item.done", output_index=0, item=item),
            _event(number + 3, f"response.{status}", response=last),
        ]

    def whole(self, kept: Kept, ending: Ending) -> dict[str, Any]:
        status = "incomplete" if ending.token.finish_reason == "length" else "completed"
        return response_object(
            ending.job, ending.text, ending.partial, status=status, usage=ending.token.usage
        )


def response_object(
    job: Job,
    text: str = "",
    partial: Partial | None = None,
    *,
    status: str | None = None,
    usage: dict[str, int] | None = None,
    sent: bool = False,
) -> dict[str, Any]:
    """The Response object, as the job stands unless the status is known better.

    Of an answer that ended early `partial` says what parses: it is what is shown, unless all was `sent` already.
    """
    status = status or _status(job)
    spec = job.spec
    shown = partial.applied(text) if partial and not sent else text
    extras = Kept.of(job).extras
    if partial:
        extras["partial"] = streaming.told(partial)
    return {
        "id": job.public_id,
        "object": "response",
        "created_at": shapes.epoch(job.created_at),
        "status": status,
        "background": bool(spec.get("background")),
        "error": _error(job, status),
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": _instructions(job),
        "max_output_tokens": spec["max_tokens"],
        "metadata": spec.get("metadata", {}),
        "model": job.model.name,
        "output": [_item(job.pk, shown, status)] if shown else [],
        "parallel_tool_calls": False,
        "previous_response_id": None,
        "store": spec.get("kept", True),
        "temperature": spec["temperature"],
        "text": {"format": {"type": "text"}},
        "tool_choice": "none",
        "tools": [],
        "top_p": spec["top_p"],
        "truncation": "disabled",
        "usage": _usage(job, usage, status),
        "backlot": extras,
    }


def _status(job: Job) -> str:
    if job.state == State.DELIVERED and job.finish_reason == "length":
        return "incomplete"
    return STATUS.get(job.state, "failed")


def _error(job: Job, status: str) -> dict[str, str] | None:
    if status != "failed":
        return None
    return {"code": job.error_code or "server_error", "message": job.error_message or job.state_cause}


def _instructions(job: Job) -> str | None:
    if not job.spec.get("instructions"):
        return None
    return conversation.split(job.prompt, job.spec["turns"])[0].content


def _usage(job: Job, usage: dict[str, int] | None, status: str) -> dict[str, Any] | None:
    if usage is None:
        if status not in ("completed", "incomplete", "cancelled"):
            return None
        usage = {"prompt_tokens": job.tokens_in, "completion_tokens": job.tokens_out}
    tokens_in, tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens_in + tokens_out,
    }


def _item(job_id: UUID, text: str, status: str) -> dict[str, Any]:
    ended = {"completed": "completed", "in_progress": "in_progress", "queued": "in_progress"}
    return {
        "id": f"msg_{job_id.hex}",
        "type": "message",
        "role": "assistant",
        "status": ended.get(status, "incomplete"),
        "content": [_part(text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _place(job_id: UUID) -> dict[str, Any]:
    return {"item_id": f"msg_{job_id.hex}", "output_index": 0, "content_index": 0}


def _event(number: int, kind: str, **data: Any) -> bytes:
    return sse.event({"type": kind, "sequence_number": number, **data}, number, kind)
