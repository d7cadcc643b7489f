"""Puts every golden prompt through the text filter and keeps what it said, so that previews need no scorer."""

import logging
from datetime import datetime, timedelta

from accounts.errors import ApiError
from safety.golden import cases as golden
from safety.policy.records import GoldenCase, GoldenReading
from safety.prefilter.cascade import Screening, screen_prompt

log = logging.getLogger(__name__)

READ_FOR = timedelta(hours=24)
AT_ONCE = 150  # prompts in one round: the scorer has requests to answer


def read(now: datetime, limit: int = AT_ONCE) -> int:
    """Screen up to `limit` prompts that were never read or longest ago, over a day; how many were read.

    Ends early where the filter can't answer: requests come first.
    """
    done = 0
    for case, kind in _waiting(now)[:limit]:
        try:
            screening = screen_prompt(case.text, kind)
        except ApiError as unanswered:
            log.warning("golden prompts wait for the text filter", extra={"reason": unanswered.message})
            break
        _keep(case, kind, screening, now)
        done += 1
    return done


def unread() -> int:
    """How many golden prompts, counted per kind of request, the filter has never said anything about."""
    known = set(GoldenReading.objects.values_list("case_id", "kind"))
    return sum((case.pk, kind) not in known for case in golden.cases(golden.PROMPT) for kind in case.kinds)


def _waiting(now: datetime) -> list[tuple[GoldenCase, str]]:
    read_at = {(row.case_id, row.kind): row.looked_at for row in GoldenReading.objects.all()}
    pairs = [(case, kind) for case in golden.cases(golden.PROMPT) for kind in case.kinds]
    never = [pair for pair in pairs if (pair[0].pk, pair[1]) not in read_at]
    old = [
        (read_at[case.pk, kind], case, kind)
        for case, kind in pairs
        if (case.pk, kind) in read_at and read_at[case.pk, kind] < now - READ_FOR
    ]
    old.sort(key=lambda one: one[0])
    return never + [(case, kind) for _, case, kind in old]


def _keep(case: GoldenCase, kind: str, screening: Screening, now: datetime) -> None:
    GoldenReading.objects.update_or_create(
        case=case,
        kind=kind,
        defaults={
            "allowed": screening.allowed,
            "category": screening.category or "",
            "stage": screening.stage or "",
            "topic": screening.topic or "",
            "scores": screening.scores,
            "looked_at": now,
        },
    )
