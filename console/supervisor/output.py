"""Everyone's lines on one stdout: each behind the name of its process, or as JSON objects."""

import io
import json
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

from console import environment as env

COLOURS = {"web": 36, "clips": 35, "code": 34, "upkeep": 33, "serve": 32}
WIDTH = 6


class Output:
    """Writes whole lines. `closed` turns true when whoever read us is gone (`make run | head`)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.json_lines = env.text("LOG_FORMAT", "text").lower() == "json"
        self.coloured = self.stream.isatty() and not env.text("NO_COLOR", "")
        self.closed = False

    def line(self, name: str, text: str) -> None:
        """One line of a process."""
        if self.json_lines:
            self.plain(text if text.startswith("{") else self._wrapped(name, text))
            return
        prefix = f"{name:<{WIDTH}} |"
        if self.coloured:
            prefix = f"\x1b[{COLOURS.get(name, 37)}m{prefix}\x1b[0m"
        self.plain(f"{prefix} {text}")

    def plain(self, text: str) -> None:
        """Text for the person at the terminal, as it is."""
        if self.closed:
            return
        try:
            self.stream.write(text + "\n")
            self.stream.flush()
        except BrokenPipeError:
            self.closed = True
            # What is buffered would fail again when Python flushes at exit.
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.stream.fileno())
            os.close(nothing)

    @staticmethod
    def _wrapped(name: str, text: str) -> str:
        now = datetime.now(UTC).isoformat()
        fields = {"process": name, "timestamp": now, "level": "info", "event": text}
        return json.dumps(fields, ensure_ascii=False)


class NamedStream(io.TextIOBase):
    """A stream for a log handler whose lines go out behind a name."""

    def __init__(self, output: Output, name: str) -> None:
        self.output = output
        self.name = name

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self.output.line(self.name, line)
        return len(text)
