"""Where a vLLM server is and how long to wait for it: a registry row's `facts["options"]`. Standard library only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from generation.engines.errors import ModelUnavailable


@dataclass(frozen=True)
class VllmOptions:
    """A running OpenAI-compatible vLLM server (0.32 or later).

    `url` is its address without a path ("http://10.0.0.5:8000"), `model` the name that it serves the model under. A
    server that wants a key finds it in the worker's environment, under the name `key_env`; keys are never in the
    database. Times in seconds: `connect_s` to reach it, `patience_s` for one that is away or full before the attempt
    ends, `silence_s` without a word of an answer under way before it counts as hung.
    """

    url: str
    model: str
    key_env: str = "VLLM_API_KEY"
    connect_s: float = 2.0
    patience_s: float = 20.0
    silence_s: float = 60.0

    @property
    def key(self) -> str:
        """The server's key; "" where it wants none."""
        return os.environ.get(self.key_env, "")

    @property
    def metrics_url(self) -> str:
        return metrics_url(self.url)


def read(written: Mapping[str, Any] | None) -> VllmOptions:
    """The options of a registry row. Raises ModelUnavailable that names the key and what belongs there."""
    written = dict(written or {})
    known = [field.name for field in fields(VllmOptions)]
    unknown = sorted(set(written) - set(known))
    if unknown:
        raise ModelUnavailable(f"options has unknown keys: {', '.join(unknown)}. Known: {', '.join(known)}.")
    for name in ("url", "model"):
        if not isinstance(written.get(name), str) or not written[name]:
            raise ModelUnavailable(f"options.{name} is missing; a vLLM server's is a text.")
    for name in ("connect_s", "patience_s", "silence_s"):
        value = written.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ModelUnavailable(f"options.{name} is {value!r:.80}; it is a number of seconds above 0.")
    _check_url(written["url"])
    return VllmOptions(**written | {"url": written["url"].rstrip("/")})


def metrics_url(url: str) -> str:
    """Where a server tells its own load."""
    return f"{url.rstrip('/')}/metrics"


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ModelUnavailable(
            f"options.url is {url!r:.120}; it is http:// or https://, a host and a port, without a path."
        )
    if parts.username or parts.password:
        raise ModelUnavailable("options.url holds a password; name the variable with a key in key_env.")
