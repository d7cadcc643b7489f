"""When a delivery is tried again: nine tries over three days. Pure; chance is an argument."""

from datetime import timedelta

MOST_TRIES = 9
# After the first, second, … eighth try. Together 71 h 35 min 5 s, give or take the jitter.
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=20),
    timedelta(hours=34),
)
JITTER = 0.1


def wait_after(tries: int, chance: float) -> timedelta | None:
    """How long to wait after so many tries have failed; None after the last one.

    `chance` from 0 to 1 spreads a wait over 90 to 110 % of itself, so that what failed together doesn't return
    together.
    """
    if tries >= MOST_TRIES:
        return None
    return WAITS[tries - 1] * (1 - JITTER + 2 * JITTER * chance)
