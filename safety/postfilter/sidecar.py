"""A gate behind HTTP: a classifier in a process, a container or a service of its own.

`POST url` with multipart/form-data: the field `request` is JSON {"protocol": 1, "class", "frames", "height", "width"},
then one file `frame` per frame in order (PNG, JPEG, or raw RGB bytes). The answer is JSON

    {"protocol": 1, "version": "…", "results": [{"score": 0.02, "usable": true, "available": true, "evidence": {}}]}

with one result per frame in the same order and the version that the setting names. Anything else, a status other than
200, a redirect, or an answer after the deadline raises, and the scan is unavailable.
"""

import io
import json
import math
import os
import secrets
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from safety.postfilter.protocol import Finding, Look

PROTOCOL = 1
MOST_ANSWER_BYTES = 1 << 20
MOST_EVIDENCE = 20  # entries, each a plain value
MOST_TEXT = 200
IMAGES = {"png": "image/png", "jpeg": "image/jpeg", "raw": "application/octet-stream"}
JPEG_QUALITY = 95


class AnswerInvalid(ValueError):
    """What came back isn't what the protocol says; it is worth nothing."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Frames go to the address that the operator wrote and to no other."""


@dataclass(frozen=True)
class Sidecar:
    """Where it is and how it is spoken to. `token_env` names the environment variable of a bearer token."""

    id: str
    version: str
    url: str
    classes: frozenset[str]
    seconds: float = 5.0
    images: str = "png"
    token_env: str = ""
    judges_unseen: bool = True
    sees_faces: bool = False  # does its evidence for likeness say in `faces` how many a frame has?

    def prepare(self, frame_class: str) -> Look:
        return lambda frames: self._ask(frame_class, frames)

    def _ask(self, frame_class: str, frames: np.ndarray) -> list[Finding]:
        body, boundary = _form(frame_class, frames, self.images)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Accept": "application/json"}
        if self.token_env:
            headers["Authorization"] = f"Bearer {os.environ[self.token_env]}"
        request = urllib.request.Request(self.url, body, headers)
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=self.seconds) as response:
            if response.status != 200:
                raise AnswerInvalid(f"{self.id} answered with status {response.status}")
            content = response.read(MOST_ANSWER_BYTES + 1)
        return read_answer(content, len(frames), self.version)


def read_answer(content: bytes, frames: int, version: str) -> list[Finding]:
    """The findings of an answer; raises AnswerInvalid for everything that isn't exactly one."""
    if len(content) > MOST_ANSWER_BYTES:
        raise AnswerInvalid("the answer is too long")
    try:
        answer = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid(f"the answer is no JSON: {error}"[:200]) from error
    if not isinstance(answer, dict) or set(answer) != {"protocol", "version", "results"}:
        raise AnswerInvalid("the answer has other fields than protocol, version and results")
    if (answer["protocol"], answer["version"]) != (PROTOCOL, version):
        raise AnswerInvalid(
            f"it speaks protocol {answer['protocol']!r:.20} as version {answer['version']!r:.60}, not {version!r}"
        )
    results = answer["results"]
    if not isinstance(results, list) or len(results) != frames:
        raise AnswerInvalid(f"there isn't one result for each of {frames} frames")
    return [_finding(result) for result in results]


def _finding(result: Any) -> Finding:
    if not isinstance(result, dict) or not {"score"} <= set(result) <= {
        "score",
        "usable",
        "available",
        "evidence",
    }:
        raise AnswerInvalid("a result has other fields than score, usable, available and evidence")
    score, usable = result["score"], result.get("usable", True)
    available, evidence = result.get("available", True), result.get("evidence", {})
    if (
        isinstance(score, bool)
        or not isinstance(score, int | float)
        or not math.isfinite(score)
        or not 0 <= score <= 1
    ):
        raise AnswerInvalid(f"the score {score!r:.40} is no share of 1")
    if type(usable) is not bool or type(available) is not bool:
        raise AnswerInvalid("usable and available are true or false")
    if (
        not isinstance(evidence, dict)
        or len(evidence) > MOST_EVIDENCE
        or not all(map(_plain, evidence.values()))
    ):
        raise AnswerInvalid("the evidence is not a few plain values")
    return Finding(float(score), evidence, usable, available)


def _plain(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= MOST_TEXT)
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _form(frame_class: str, frames: np.ndarray, images: str) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    about = {
        "protocol": PROTOCOL,
        "class": frame_class,
        "frames": len(frames),
        "height": int(frames.shape[1]),
        "width": int(frames.shape[2]),
    }
    parts = [_part(boundary, 'name="request"', "application/json", json.dumps(about).encode())]
    for index, content in enumerate(_encoded(frames, images)):
        name = f'name="frame"; filename="{index}.{images}"'
        parts.append(_part(boundary, name, IMAGES[images], content))
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), boundary


def _part(boundary: str, name: str, media_type: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: {media_type}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def _encoded(frames: np.ndarray, images: str) -> Sequence[bytes]:
    if images == "raw":
        return [frame.tobytes() for frame in frames]
    return [_file(frame, images) for frame in frames]


def _file(frame: np.ndarray, images: str) -> bytes:
    file = io.BytesIO()
    options = {"compress_level": 1} if images == "png" else {"quality": JPEG_QUALITY, "subsampling": 0}
    Image.fromarray(frame).save(file, images.upper(), **options)
    return file.getvalue()
