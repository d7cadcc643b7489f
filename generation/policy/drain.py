"""How long a queue takes to drain: fluid generalized processor sharing.

After Parekh and Gallager, "A generalized processor sharing approach to flow control" (IEEE/ACM ToN 1993): backlogged
lanes share the devices in proportion to their weights, and what a lane that has drained leaves goes to the others.
The live claim (start-time fair queueing) follows this fluid within one job per lane and device.
"""

from collections.abc import Mapping


def drain_s(backlog_s: Mapping[str, float], weights: Mapping[str, float], lane: str, slots: int) -> float:
    """Seconds until the backlog of `lane` has been started and served, were nothing more to come.

    `backlog_s` is device-seconds that wait per lane, `weights` what is in force, `slots` the devices that serve.
    Raises ValueError without a slot: then nothing ever drains.
    """
    if slots < 1:
        raise ValueError("a pool without a slot drains nothing")
    left = {slug: seconds for slug, seconds in backlog_s.items() if seconds > 0}
    at = 0.0
    while lane in left:
        total = sum(weights[slug] for slug in left)
        rates = {slug: slots * weights[slug] / total for slug in left}
        step = min(left[slug] / rates[slug] for slug in left)
        at += step
        left = {
            slug: seconds - rates[slug] * step
            for slug, seconds in left.items()
            if seconds - rates[slug] * step > 1e-9 * slots
        }
    return at
