"""Calls to gates, in parallel and with a deadline: a gate that hangs must not hold a clip, nor a worker."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

MOST_HUNG = 4  # calls of one gate that are left behind at a time; then it isn't asked until one of them ends


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to: its result, or in words why there is none."""

    result: object | None
    failure: str | None


class _Call(threading.Thread):
    # A daemon, because a hung call can't be ended: it is left behind and must not keep the process from stopping.
    def __init__(self, function: Callable[[], object]):
        super().__init__(daemon=True, name="gate")
        self.function = function
        self.result: object | None = None
        self.failure: str | None = None

    def run(self) -> None:
        try:
            self.result = self.function()
        except Exception as error:  # a plug-in may fail in any way; the failure becomes its answer
            log.exception("a gate failed")
            self.failure = f"{type(error).__name__}: {error}"[:300]


_left_behind: dict[str, list[_Call]] = {}
_keeping = threading.Lock()


def ask_all(
    functions: Sequence[Callable[[], object]], seconds: float, names: Sequence[str] | None = None
) -> list[Answer]:
    """Run the functions beside one another and return their answers in order, after `seconds` at the latest.

    `names` say whose they are: one that has hung too often already isn't started, so that threads don't pile up.
    """
    names = names or [""] * len(functions)
    calls = [_Call(function) for function in functions]
    started = [not name or hung(name) < MOST_HUNG for name in names]
    for call, may_start in zip(calls, started, strict=True):
        if may_start:
            call.start()
    end = time.monotonic() + seconds
    answers = []
    for call, name, was_started in zip(calls, names, started, strict=True):
        if not was_started:
            answers.append(Answer(None, f"{MOST_HUNG} earlier calls still hang"))
            continue
        call.join(max(0.0, end - time.monotonic()))
        if call.is_alive():
            _leave_behind(name, call)
            answers.append(Answer(None, f"no answer within {seconds:g} s"))
        else:
            answers.append(Answer(call.result, call.failure))
    return answers


def hung(name: str) -> int:
    """How many calls of a gate are still running long after their deadline."""
    with _keeping:
        _left_behind[name] = [call for call in _left_behind.get(name, ()) if call.is_alive()]
        return len(_left_behind[name])


def _leave_behind(name: str, call: _Call) -> None:
    if name:
        with _keeping:
            _left_behind.setdefault(name, []).append(call)
