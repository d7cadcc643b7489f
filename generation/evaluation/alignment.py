"""Does a clip show what its prompt asked? A judge says so from 1 (not at all) to 5 (in everything).

By default the attribute detector of the shipped model's world, which reads whole clips because a motion can't be seen
at one frame a second; or a model behind an OpenAI-compatible endpoint (EVALUATION_JUDGE_URL), which sees frames at 1
fps.
"""

import base64
import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from django.conf import settings
from PIL import Image

from generation.engines.training import captions
from generation.engines.training.judge import judge
from generation.engines.training.world import SIZE
from generation.evaluation.scoring import ATTRIBUTES

LEAST, MOST, TARGET = 1.0, 5.0, 3.5
DROP = 0.3  # against the last run: more is an alarm
MOST_FRAMES = 12  # that an endpoint is shown of one clip
# Said in golden prompts, and by no caption of training.
FURTHER_BACKGROUNDS = {"on a sandy beach": "beach"}
QUESTION = (
    "These are frames of a short clip, one a second, in order. How well do they show what was asked for: {prompt!r}? "
    "Answer with one number from 1 (not at all) to 5 (in everything), and nothing else."
)


class JudgeUnavailable(Exception):
    """The judge gave no rating; the clip has none then, and the run says how many have none."""


class Judge(Protocol):
    """Rates clips uint8 [frames, height, width, 3] against their prompts."""

    name: str

    def rate(self, prompt: str, clip: np.ndarray, fps: int) -> float | None:
        """1 to 5; None where this judge can't say anything of such a prompt. Raises JudgeUnavailable."""


class AttributeJudge:
    """Colour, shape, motion and background of the shapes world: 1 for none as asked, 5 for all four."""

    name = "attributes of the shapes world"

    def rate(self, prompt: str, clip: np.ndarray, fps: int) -> float | None:
        wanted = asked(prompt)
        if wanted is None or clip.shape[1:3] != (SIZE, SIZE):
            return None
        seen = judge(clip)
        share = sum(getattr(seen, name) == wanted[name] for name in ATTRIBUTES) / len(ATTRIBUTES)
        return LEAST + (MOST - LEAST) * share


@dataclass(frozen=True)
class EndpointJudge:
    """A model that looks at pictures, behind an OpenAI-compatible chat endpoint."""

    url: str
    model: str
    key: str = ""
    deadline_s: float = 60.0

    @property
    def name(self) -> str:
        return f"{self.model} at {self.url}"[:120]

    def rate(self, prompt: str, clip: np.ndarray, fps: int) -> float | None:
        shown = [
            {"type": "image_url", "image_url": {"url": _data_url(frame)}} for frame in at_one_fps(clip, fps)
        ]
        words = {"type": "text", "text": QUESTION.format(prompt=prompt)}
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": [words, *shown]}],
            "temperature": 0,
            "max_tokens": 8,
        }
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.key}"} if self.key else {}
        )
        request = urllib.request.Request(
            self.url.rstrip("/") + "/chat/completions", json.dumps(body).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=self.deadline_s) as response:
                return rating(json.load(response)["choices"][0]["message"]["content"])
        except (OSError, ValueError, KeyError, IndexError, TypeError) as problem:
            raise JudgeUnavailable(f"{type(problem).__name__} from the judge") from problem


def chosen() -> Judge:
    """The judge of the settings."""
    if settings.EVALUATION_JUDGE_URL:
        return EndpointJudge(
            settings.EVALUATION_JUDGE_URL, settings.EVALUATION_JUDGE_MODEL, settings.EVALUATION_JUDGE_KEY
        )
    return AttributeJudge()


def at_one_fps(clip: np.ndarray, fps: int) -> np.ndarray:
    """The first frame of every second, at most 12 spread over the clip."""
    picked = np.arange(0, len(clip), fps)
    if len(picked) > MOST_FRAMES:
        picked = picked[np.linspace(0, len(picked) - 1, MOST_FRAMES).round().astype(int)]
    return clip[picked]


def rating(answer: str) -> float:
    """The number in a judge's answer; ValueError where it is none from 1 to 5."""
    found = re.fullmatch(r"\s*([1-5](?:\.\d+)?)(?:\s*/\s*5)?\s*\.?\s*", answer)
    if not found or not LEAST <= float(found[1]) <= MOST:
        raise ValueError("the answer is no number from 1 to 5")
    return float(found[1])


def asked(prompt: str) -> dict[str, str] | None:
    """The four attributes that a prompt of the shapes world names; None where one isn't said."""
    text, found = prompt.casefold(), {}
    # Places and motions go first: "over a green field" is no colour, and "in a circle" no shape.
    for name in ("background", "motion", "colour", "shape"):
        for phrase, value in _phrases()[name]:
            cut, times = re.subn(rf"\b{re.escape(phrase)}\b", " ", text, count=1)
            if times:
                found[name], text = value, cut
                break
    return found if len(found) == len(ATTRIBUTES) else None


@cache
def _phrases() -> Mapping[str, list[tuple[str, str]]]:
    """(phrase, value) per attribute, the longest first."""
    words = {
        "background": [(p, name) for name, said in captions.BACKGROUND_WORDS.items() for p in said]
        + list(FURTHER_BACKGROUNDS.items()),
        "motion": [(p, name) for name, said in captions.MOTION_WORDS.items() for pair in said for p in pair],
        "colour": [(p, name) for name, said in captions.COLOUR_WORDS.items() for p in said],
        "shape": [(p, name) for name, said in captions.SHAPE_WORDS.items() for p in said],
    }
    return {name: sorted(set(pairs), key=lambda pair: -len(pair[0])) for name, pairs in words.items()}


def _data_url(frame: np.ndarray) -> str:
    picture = io.BytesIO()
    Image.fromarray(frame).save(picture, format="PNG")
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()
