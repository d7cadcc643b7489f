"""One client: draws operations, writes each down, does it, writes down the answer. It may be killed anywhere."""

import random
import time
from collections import defaultdict
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection

from tests.faults.hammer import operations
from tests.faults.hammer.journal import TAIL, Journal, past

PATIENCE_S = 120
AGAIN = 0.05  # of the operations are done a second time although they were answered


def run(path: Path, client: int, count: int, slugs: list[str], codes: int, seed: int) -> None:
    """Go on from the journal's end until `count` are answered; one that was cut short is done again first."""
    known, journal = path.exists(), Journal(path)
    before = past(path, TAIL) if known else []
    goes_on = defaultdict(list)
    for intent, answer in before:
        _remember(goes_on, intent, answer)
    number = before[-1][0]["number"] if before else 0
    chance = random.Random(f"{seed}:{client}:{number}")
    if before and before[-1][1] is None:
        _do(journal, goes_on, before[-1][0])
    while number < count:
        number += 1
        intent = operations.draw(chance, number, client, slugs, codes, goes_on)
        journal.intend(intent)
        answer = _do(journal, goes_on, intent)
        if chance.random() < AGAIN and "refused" not in answer and intent["name"] != "redeem":
            again = _through(intent)
            assert again == answer, f"{intent} was answered {answer}, and then {again}"


def _do(journal: Journal, goes_on: dict, intent: dict) -> dict:
    answer = _through(intent)
    journal.acknowledge(intent["number"], answer)
    _remember(goes_on, intent, answer)
    return answer


def _remember(goes_on: dict, intent: dict, answer: dict | None) -> None:
    """What later operations may go on from, each once: what was used up is not there any more."""
    for kind, uses in operations.FROM.items():
        if intent["name"] == kind and kind not in operations.REPEATED:
            goes_on[uses] = [one for one in goes_on[uses] if one["key"] != intent["of"]]
    for kind, amount in (answer or {}).items():
        if kind in operations.FROM.values() and amount:
            # A charge is known by the subject of its hold.
            key = intent["of"] if kind == "charged" else intent["key"]
            goes_on[kind].append({"key": key, "slug": intent["slug"]})


def _through(intent: dict) -> dict:
    """Until there is an answer: the database may be away."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return operations.carry_out(intent)
        except (DatabaseError, InterfaceError) as problem:
            if not _is_away(problem) or time.monotonic() > end:
                raise
            connection.close()
            time.sleep(0.05)


def _is_away(problem: Exception) -> bool:
    """Whether the connection went, and not that the database refused what was asked."""
    state = getattr(problem.__cause__, "sqlstate", None)
    return state is None or state[:2] in ("08", "57", "25")
