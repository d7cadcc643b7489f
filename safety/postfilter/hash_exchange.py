"""Files in which hash lists are exchanged: which PDQ hashes are in them, and what is wrong with the other lines.

Three forms, told apart by what they begin with:

* JSON, as ThreatExchange gives it: a list, {"data": […]}, or one object a line, with the hash under `raw_indicator`,
  `indicator`, `hash`, `pdq`, `signal` or `value`, and its type under `type` or `signal_type`;
* CSV with or without a header, as hash-sharing services of child-safety organizations give it: "PDQ,<hash>", or a
  column named pdq, hash, hash_value, indicator, signal or value, with `type` and `quality` where they are there;
* plain text, one hash a line.

Standard library only; nothing is written here.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

PDQ_HEX = re.compile(r"[0-9a-fA-F]{64}")
HASH_NAMES = (
    "raw_indicator",
    "indicator",
    "pdq",
    "pdq_hash",
    "hash",
    "hash_value",
    "signal",
    "signal_str",
    "value",
)
TYPE_NAMES = ("type", "signal_type", "hash_type", "indicator_type")
QUALITY_NAMES = ("quality", "pdq_quality")
QUALITY_FLOOR = 50


@dataclass(frozen=True)
class Rejected:
    """A line that can't be used, counted from 1, and why."""

    line: int
    why: str


@dataclass
class HashFile:
    """What a file holds: `hashes` in lower case and in order, once each; `repeated` of them came again.

    `other_types` counts lines of other kinds of hashes (MD5, video), which are none of ours and no fault.
    """

    hashes: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    repeated: int = 0
    other_types: int = 0


def read(lines: Iterable[str]) -> HashFile:
    """Read a whole file, as an iterable of its lines."""
    found, seen = HashFile(), set()
    for number, record in _records(lines, found):
        _take(number, record, found, seen)
    return found


def _take(number: int, record: Mapping[str, object], found: HashFile, seen: set[str]) -> None:
    kind = str(_named(record, TYPE_NAMES) or "pdq").lower()
    if "pdq" not in kind:
        found.other_types += 1
        return
    value = str(_named(record, HASH_NAMES) or "").strip()
    if not PDQ_HEX.fullmatch(value):
        shown = f"{value[:20]!r}" if value else "nothing"
        found.rejected.append(Rejected(number, f"{shown} is no PDQ hash of 64 hexadecimal digits"))
        return
    quality = _named(record, QUALITY_NAMES)
    if quality not in (None, "") and not _enough(quality):
        found.rejected.append(
            Rejected(number, f"quality {str(quality)[:20]} is below {QUALITY_FLOOR}, or no number")
        )
        return
    value = value.lower()
    if _means_little(value):
        found.rejected.append(
            Rejected(number, "the hash of a flat picture, which would match pictures unlike it")
        )
    elif value in seen:
        found.repeated += 1
    else:
        seen.add(value)
        found.hashes.append(value)


def _means_little(value: str) -> bool:
    """PDQ sets about half of the bits; one that doesn't is of a picture without texture, or made up."""
    return not 64 <= int(value, 16).bit_count() <= 192


def _enough(quality: object) -> bool:
    try:
        return float(str(quality)) >= QUALITY_FLOOR
    except ValueError:
        return False


def _named(record: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def _records(lines: Iterable[str], found: HashFile) -> Iterator[tuple[int, Mapping[str, object]]]:
    """(line, fields) of every entry; the form is told by the first line that isn't blank."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    number, line = first[0], first[1].lstrip("\ufeff")
    if line.lstrip().startswith(("[", "{")):
        yield from _json(number, line, numbered, found)
    else:
        yield from _csv(number, line, numbered)


def _json(
    number: int, line: str, rest: Iterator[tuple[int, str]], found: HashFile
) -> Iterator[tuple[int, Mapping[str, object]]]:
    """One object a line where the first line is one by itself that holds no list, else one document."""
    try:
        whole = json.loads(line)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and not isinstance(whole.get("data"), list):
        yield number, _lower(whole)
        yield from _json_lines(rest, found)
        return
    if whole is None:
        numbers_and_lines = [(number, line), *rest]
        try:
            whole = json.loads("\n".join(text for _, text in numbers_and_lines))
        except ValueError as error:
            found.rejected.append(Rejected(getattr(error, "lineno", number), f"no JSON: {str(error)[:80]}"))
            return
    yield from _entries(whole, number, found)


def _json_lines(
    rest: Iterator[tuple[int, str]], found: HashFile
) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in rest:
        try:
            entry = json.loads(line)
        except ValueError as error:
            found.rejected.append(Rejected(number, f"no JSON: {str(error)[:80]}"))
            continue
        if isinstance(entry, dict):
            yield number, _lower(entry)
        else:
            found.rejected.append(Rejected(number, "no JSON object"))


def _entries(whole: object, number: int, found: HashFile) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Of a whole document: its lines say nothing, so entries are counted instead, from 1."""
    entries = whole.get("data") if isinstance(whole, dict) else whole
    if not isinstance(entries, list):
        found.rejected.append(Rejected(number, "neither a list nor an object with a list under `data`"))
        return
    for place, entry in enumerate(entries, 1):
        if isinstance(entry, dict):
            yield place, _lower(entry)
        elif isinstance(entry, str):
            yield place, {"hash": entry}
        else:
            found.rejected.append(Rejected(place, "no JSON object"))


def _lower(entry: Mapping[str, object]) -> dict[str, object]:
    return {str(name).lower(): value for name, value in entry.items()}


def _csv(
    number: int, line: str, rest: Iterator[tuple[int, str]]
) -> Iterator[tuple[int, Mapping[str, object]]]:
    cells = _cells(line)
    names = [cell.strip().lower() for cell in cells]
    if any(name in HASH_NAMES for name in names) and not any(map(PDQ_HEX.fullmatch, names)):
        header = names
    else:
        header = None
        yield number, _without_header(cells)
    for number, line in rest:
        cells = _cells(line)
        yield number, dict(zip(header, cells, strict=False)) if header else _without_header(cells)


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r\n")]), [""])
    except csv.Error:
        return [line]  # no hash, so it is rejected as what it is


def _without_header(cells: list[str]) -> dict[str, object]:
    """A hash alone, or its type before it."""
    if len(cells) == 1:
        return {"hash": cells[0]}
    return {"type": cells[0].strip(), "hash": cells[1].strip()}
