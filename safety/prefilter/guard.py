"""A larger judge of texts behind the cascade, by setting: an OpenAI-compatible moderation endpoint. Fails closed.

A transformers folder (GUARD_MODEL) is served by a scorer, which holds the models; see `scorer.guard_folder`.
"""

import json
import math
import urllib.error
import urllib.request

from django.conf import settings

from safety.scorer import asking
from safety.scorer.client import Unanswered

# The endpoint's names for what ours are called; our own names are understood as they are.
NAMES = {
    "sexual/minors": "child_safety",
    "sexual": "sexual",
    "violence": "violence",
    "violence/graphic": "violence",
}
OURS = ("jailbreak", "prompt_injection", "child_safety", "sexual", "likeness", "violence", "deception")


class NoAnswer(Exception):
    """The guard didn't answer in time, or not with scores."""


def is_set() -> bool:
    return bool(settings.GUARD_URL or settings.GUARD_MODEL)


def name() -> str:
    """For the record of a refusal."""
    return settings.GUARD_MODEL or settings.GUARD_URL


def scores(text: str) -> dict[str, float]:
    """category → share of 1; raises ApiError server_is_overloaded, with an operational event, where there are none."""
    try:
        named = _from_scorer(text) if settings.GUARD_MODEL else _from_endpoint(text)
        return read(named)
    except (NoAnswer, Unanswered) as problem:
        asking.unavailable("safety.guard_unanswered", str(problem))
        raise asking.unchecked() from problem


def read(named: object) -> dict[str, float]:
    """Scores under our names; raises NoAnswer where one is no share, or none is about a category of ours."""
    if not isinstance(named, dict):
        raise NoAnswer("no scores in the answer")
    found: dict[str, float] = {}
    for label, score in named.items():
        category = NAMES.get(label, label if label in OURS else None)
        if category is None:
            continue
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise NoAnswer(f"the score of {label} is no number")
        if not 0 <= score <= 1:
            raise NoAnswer(f"the score of {label} is no share of 1")
        found[category] = max(found.get(category, 0.0), float(score))
    if not found:
        raise NoAnswer("no category of ours in the answer")
    return found


def _from_scorer(text: str) -> object:
    return asking.scorers().ask({"op": "guard", "text": text}).get("guard")


def _from_endpoint(text: str) -> object:
    body = json.dumps({"input": text}).encode("utf-8", "replace")
    headers = {"Content-Type": "application/json"}
    if settings.GUARD_KEY:
        headers["Authorization"] = f"Bearer {settings.GUARD_KEY}"
    request = urllib.request.Request(settings.GUARD_URL.rstrip("/") + "/moderations", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=settings.GUARD_DEADLINE_MS / 1000) as response:
            return json.load(response)["results"][0]["category_scores"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as problem:
        raise NoAnswer(f"{type(problem).__name__} from the guard") from problem
