"""Calls to gates, in parallel and with a deadline: a gate that hangs must not hold a clip, nor a worker."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)


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


def ask_all(functions: Sequence[Callable[[], object]], seconds: float) -> list[Answer]:
    """Run the functions beside one another and return their answers in order, after `seconds` at the latest."""
    calls = [_Call(function) for function in functions]
    for call in calls:
        call.start()
    end = time.monotonic() + seconds
    answers = []
    for call in calls:
        call.join(max(0.0, end - time.monotonic()))
        if call.is_alive():
            answers.append(Answer(None, f"no answer within {seconds:g} s"))
        else:
            answers.append(Answer(call.result, call.failure))
    return answers
