"""How likely counts are by chance alone: the tails of the Poisson distribution, near the middle of large ones the
normal's."""

import math

EXACT_TO = 1000


def at_least(count: int, expected: float) -> float:
    """The chance of `count` events or more where `expected` are usual."""
    if count <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    if count <= expected > EXACT_TO:
        return _normal((count - 0.5 - expected) / math.sqrt(expected))
    if count <= expected:
        return 1.0 - _below(count, expected)
    # Summed upwards from `count`, where terms only shrink: 1 - P would lose small chances to rounding.
    term = math.exp(count * math.log(expected) - expected - math.lgamma(count + 1))
    total, number = 0.0, count
    while term > total * 1e-12:
        total += term
        number += 1
        term *= expected / number
    return total


def at_most(count: int, expected: float) -> float:
    """The chance of `count` events or fewer where `expected` are usual."""
    if expected <= 0:
        return 1.0
    if max(count, expected) > EXACT_TO:
        return _normal((expected - count - 0.5) / math.sqrt(expected))
    return _below(count + 1, expected)


def _below(count: int, expected: float) -> float:
    return sum(math.exp(n * math.log(expected) - expected - math.lgamma(n + 1)) for n in range(count))


def _normal(deviations: float) -> float:
    """The upper tail of the normal distribution."""
    return 0.5 * math.erfc(deviations / math.sqrt(2))
