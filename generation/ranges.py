"""HTTP byte ranges (RFC 9110 § 14): one range of one file. Standard library only."""

import re
from dataclasses import dataclass

_SPEC = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


@dataclass(frozen=True)
class ByteRange:
    """Bytes `first` to `last` of a file, both included, counted from 0."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class Unsatisfiable(ValueError):
    """The range is well-formed but starts behind the end of the file: the answer is 416."""


def requested(header: str | None, size: int) -> ByteRange | None:
    """The range a `Range` header asks of a file of `size` bytes; None means: send the whole file.

    A header that is malformed, uses another unit or asks for several ranges is ignored, as the standard allows.
    Raises Unsatisfiable for a range that shares no byte with the file.
    """
    match = _SPEC.match(header.strip().replace(" ", "")) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        return _suffix(int(last), size)
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise Unsatisfiable(header)
    return ByteRange(start, min(end, size - 1))


def _suffix(length: int, size: int) -> ByteRange:
    """`bytes=-500`: the last 500 bytes, or all of a smaller file."""
    if length == 0 or size == 0:
        raise Unsatisfiable(f"bytes=-{length}")
    return ByteRange(max(0, size - length), size - 1)


def applies(if_range: str | None, etag: str) -> bool:
    """Whether `If-Range` lets the range stand: only for the very file that the client already holds a part of."""
    return if_range is None or if_range.strip() == etag
