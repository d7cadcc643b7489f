"""What a client meant to do and what it was told, on disk before anything else: intents first, then answers."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

TAIL = 200_000  # bytes that a restarted client reads of its own past


class Journal:
    """One client's file. A line that a kill cut short is no line: the next begins on a new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def intend(self, intent: dict) -> None:
        self._write({"intent": intent})

    def acknowledge(self, number: int, answer: dict) -> None:
        self._write({"answered": number, "answer": answer})

    def _write(self, line: dict) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fsync(self._file)


def lines(path: Path, last_bytes: int | None = None) -> Iterator[dict]:
    with path.open("rb") as file:
        if last_bytes is not None:
            file.seek(max(0, path.stat().st_size - last_bytes))
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # cut short by a kill, or where the tail begins


def past(path: Path, last_bytes: int | None = None) -> list[tuple[dict, dict | None]]:
    """(intent, answer or None) in order. An intent may stand twice where it was tried again: the last one counts."""
    found: dict[int, list] = {}
    for line in lines(path, last_bytes):
        if "intent" in line:
            found[line["intent"]["number"]] = [line["intent"], None]
        elif line["answered"] in found:
            found[line["answered"]][1] = line["answer"]
    return [(intent, answer) for intent, answer in found.values()]
