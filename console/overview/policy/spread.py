"""How values spread: a log-spaced histogram whose sum with another one is the histogram of both.

Values are whole and not negative (milliseconds, or microseconds where that is said). Bucket 0 holds the zeros, bucket i
the values from `BOUNDS[i - 1]` up to but without `BOUNDS[i]`; each bound is 10 % above the one before, or one more
where that is further. PostgreSQL's `width_bucket(value, BOUNDS)` gives the same number, by comparing whole numbers.

A quantile is the value of that rank (nearest rank: the k-th of n with k = ceil(q·n)), known as far as its bucket: the
geometric middle of what the bucket can hold. So it lies within `ERROR` of the value itself, whatever was merged;
relative-error quantile sketches of this kind are DDSketch (Masson, Rim, Lee; VLDB 2019) without its collapsing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from math import ceil, sqrt

GROWTH = 1.1
LONGEST = 2_600_000_000  # 30 days in milliseconds; what is longer counts in the last bucket
ERROR = sqrt(GROWTH) - 1  # 4.9 %

Spread = Mapping[int, int]  # bucket → how many


def _bounds() -> tuple[int, ...]:
    bounds = [1]
    while bounds[-1] < LONGEST:
        bounds.append(max(bounds[-1] + 1, ceil(bounds[-1] * GROWTH)))
    return tuple(bounds)


BOUNDS = _bounds()


def bucket_of(value: int) -> int:
    """The bucket of a value; everything from `LONGEST` on is in the last."""
    return bisect_right(BOUNDS, value)


def spread_of(values: Iterable[int]) -> dict[int, int]:
    """The histogram of some values."""
    found: dict[int, int] = {}
    for value in values:
        bucket = bucket_of(value)
        found[bucket] = found.get(bucket, 0) + 1
    return found


def merged(spreads: Iterable[Spread]) -> dict[int, int]:
    """The histogram of all values behind some histograms."""
    found: dict[int, int] = {}
    for spread in spreads:
        for bucket, count in spread.items():
            found[bucket] = found.get(bucket, 0) + count
    return found


def size(spread: Spread) -> int:
    """How many values are behind it."""
    return sum(spread.values())


def middle(bucket: int) -> float:
    """What stands for the values of a bucket."""
    if bucket == 0:
        return 0.0
    low = BOUNDS[bucket - 1]
    high = BOUNDS[bucket] - 1 if bucket < len(BOUNDS) else low
    return sqrt(low * high)


def quantile(spread: Spread, share: float) -> float | None:
    """The value that `share` of them (0 < share ≤ 1) do not exceed, within `ERROR` of it; None of nothing."""
    total = size(spread)
    if not total:
        return None
    rank, seen = max(1, ceil(share * total)), 0
    for bucket in sorted(spread):
        seen += spread[bucket]
        if seen >= rank:
            return middle(bucket)
    raise ValueError(f"a share of {share} is more than all")
