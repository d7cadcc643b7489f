"""The cascade's questions to the scorers, and what becomes of a request that none of them answers."""

import logging
import time
from collections.abc import Sequence
from functools import cache

from django.conf import settings

from accounts.errors import ApiError
from accounts.operations import Severity, report
from safety.prefilter import scores
from safety.prefilter.text_stages import Stages
from safety.scorer.client import Question, Scorers, Unanswered

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10  # a scorer that ended is started again within seconds and ready a second later
TELL_EVERY_S = 5.0  # an alarm row per process, not one per request of a rush

_told_at = float("-inf")


@cache
def _scorers(places: tuple[str, ...], secret: str, deadline_ms: int) -> Scorers:
    return Scorers(list(places), secret.encode(), deadline_ms / 1000)


def scorers() -> Scorers:
    """Those that the settings name, with the connections that this process keeps to them."""
    return _scorers(tuple(settings.SCORERS), settings.SCORER_SECRET, settings.SCORER_DEADLINE_MS)


def begin(texts: Sequence[str], kind: str, stages: Stages) -> Question:
    """Send the readings of one text; the answer is fetched with `answer`."""
    return scorers().begin(_message(texts, kind, stages))


def answer(question: Question, texts: Sequence[str], kind: str, stages: Stages) -> scores.Scores:
    """The scores; raises ApiError server_is_overloaded, with an operational event, where there are none to believe."""
    try:
        found = question.answer()
        if found.get("need") == "examples":
            rows = [list(row) for row in stages.examples]
            found = scorers().ask({**_message(texts, kind, stages), "example_rows": rows})
        return scores.read(found, stages)
    except (Unanswered, scores.Implausible) as problem:
        unavailable("safety.scorer_unanswered", str(problem))
        raise unchecked() from problem


def unchecked() -> ApiError:
    """What the customer is told."""
    message = (
        "Prompts can't be checked at the moment. Nothing was queued or charged; "
        f"try again in {RETRY_AFTER_S} seconds."
    )
    return ApiError("server_is_overloaded", message, retry_after_s=RETRY_AFTER_S)


def unavailable(kind: str, reason: str) -> None:
    """An alarm row, at most one every few seconds from this process."""
    global _told_at
    log.error("texts can't be checked", extra={"kind": kind, "reason": reason})
    now = time.monotonic()
    if now - _told_at >= TELL_EVERY_S:
        _told_at = now
        report(kind, Severity.CRITICAL, "process:scorer", {"reason": reason})


def _message(texts: Sequence[str], kind: str, stages: Stages) -> dict:
    return {"op": "score", "kind": kind, "texts": list(texts), "examples": stages.digest}
