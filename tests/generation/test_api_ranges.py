"""Byte ranges by RFC 9110: what is served, what is ignored, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.ranges import ByteRange, Unsatisfiable, applies, requested

SIZE = 1_000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=0-499", ByteRange(0, 499)),
        ("bytes=500-", ByteRange(500, 999)),
        ("bytes=999-", ByteRange(999, 999)),
        ("bytes=-1", ByteRange(999, 999)),
        ("bytes=-500", ByteRange(500, 999)),
        ("bytes=-5000", ByteRange(0, 999)),
        ("bytes=900-5000", ByteRange(900, 999)),
        (" bytes= 5 - 6 ", ByteRange(5, 6)),
    ],
)
def test_a_single_range_is_served(header, expected):
    assert requested(header, SIZE) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=0-1,5-6",
        "items=0-1",
        "0-1",
        "bytes=+1-2",
    ],
)
def test_what_is_malformed_or_multiple_is_ignored(header):
    assert requested(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
def test_a_range_behind_the_end_can_not_be_satisfied(header):
    with pytest.raises(Unsatisfiable):
        requested(header, SIZE)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
def test_no_range_of_an_empty_file_can_be_satisfied(header):
    with pytest.raises(Unsatisfiable):
        requested(header, 0)


@given(size=st.integers(0, 10_000), first=st.integers(0, 12_000), last=st.integers(0, 12_000))
def test_a_range_never_reaches_outside_the_file(size, first, last):
    try:
        part = requested(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    if part is None:
        assert last < first
        return
    assert part.first == first
    assert 0 <= part.first <= part.last < size
    assert part.length == len(bytes(size)[part.first : part.last + 1])


@given(header=st.text(max_size=40))
def test_no_header_breaks_the_parser(header):
    try:
        part = requested(header, SIZE)
    except Unsatisfiable:
        return
    assert part is None or 0 <= part.first <= part.last < SIZE


def test_if_range_lets_a_range_stand_only_for_the_same_file():
    assert applies(None, '"abc"')
    assert applies('"abc"', '"abc"')
    assert not applies('"other"', '"abc"')
    assert not applies('W/"abc"', '"abc"')
    assert not applies("Wed, 21 Oct 2015 07:28:00 GMT", '"abc"')
