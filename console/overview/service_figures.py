"""Waits, times, throughput and what goes wrong, as lines over time."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from console.overview import reading, waiting
from console.overview.asked import Asked
from console.overview.counted import WORDS
from console.overview.drawing import Drawn, Line, both, named, quantiles
from console.overview.known import Known
from console.overview.policy.grains import Steps
from console.overview.policy.spread import merged, size
from console.overview.reading import Span
from generation.stage_times import STAGE_WORDS

SECOND = 1000
WAIT_P50_S, PLUS_WAIT_P95_S = 15, 60
TIMES_S = {"plus": 120, "free": 300}
NAN_SHARE = 0.005
SIGNING_S = 1
NO_CATEGORY = "no category"
MOST_REASONS = 7


def span(asked: Asked, before: bool) -> Span:
    """What is asked, or the same a week before."""
    return Span.of(asked.steps.week_before if before else asked.steps, asked.only)


def waits(asked: Asked, known: Known) -> Drawn:
    """Who started in a step by how long they waited, and who waited at its end by their age."""

    def lines(before: bool) -> list[Line]:
        found = waited(asked, before)
        return [
            Line(
                named(f"{name} {label}", before),
                quantiles(found, tier, share, SECOND),
                tier,
                dash,
                {"did": "waited", "tier": tier},
                before,
            )
            for tier, name in known["tier"].items()
            if any(group == tier for group, _ in found)
            for label, share, dash in (("p50", 0.5, ""), ("p95", 0.95, "dot"))
        ]

    targets = (
        {"value": WAIT_P50_S, "label": "p50 target 15 s"},
        {"value": PLUS_WAIT_P95_S, "label": "Plus p95 60 s"},
    )
    note = "Solid: half wait less (p50). Dotted: 19 of 20 wait less (p95). Who still waits counts with their age."
    return Drawn("s", both(asked, lines), targets=targets, note=note)


def waited(asked: Asked, before: bool) -> dict[tuple[str, datetime], dict[int, int]]:
    """(tier, step) → the waits of those who started in it and the ages of those who waited at its end."""
    started = reading.spreads(span(asked, before), "wait", "tier")
    ages = ages_at_ends(asked, before, "tier")
    return {key: merged(part.get(key, {}) for part in (started, ages)) for key in {*started, *ages}}


def ages_at_ends(asked: Asked, before: bool, by: str) -> dict[tuple[str, datetime], dict[int, int]]:
    """(group, step) → who waited at the step's end, by age; in the step that lasts, who waits now."""
    steps = asked.steps.week_before if before else asked.steps
    ends = {start + steps.width: start for start in steps.starts}
    kept = reading.waiting([end for end in ends if end <= asked.now], asked.only, by)
    found = {(group, ends[end]): ages for (group, end), ages in kept.items()}
    lasts = [start for end, start in ends.items() if start <= asked.now < end]
    return {**found, **(_live(asked, by, lasts[0]) if lasts else {})}


def _live(asked: Asked, by: str, start: datetime) -> dict[tuple[str, datetime], dict[int, int]]:
    found: dict[str, list] = defaultdict(list)
    for lane in waiting.live(asked.now):
        if all(getattr(lane, name) == value for name, value in asked.only.items()):
            found[getattr(lane, by) if by else ""].append(lane.ages)
    return {(group, start): merged(parts) for group, parts in found.items()}


def backlog(asked: Asked, known: Known) -> Drawn:
    def lines(before: bool) -> list[Line]:
        ages = ages_at_ends(asked, before, "tier")
        return [
            Line(
                named(name, before),
                until_now({at: size(ages.get((tier, at), {})) for at in _starts(asked.steps, before)}, asked),
                tier,
                opens={"did": "waiting", "tier": tier},
                faint=before,
            )
            for tier, name in known["tier"].items()
            if any(group == tier for group, _ in ages)
        ]

    return Drawn("jobs", both(asked, lines), note="Waiting for a first start, at the end of each step.")


def _starts(steps: Steps, before: bool) -> list[datetime]:
    return (steps.week_before if before else steps).starts


def until_now(points: dict[datetime, int], asked: Asked) -> dict[datetime, float | None]:
    """What lies in the future is nothing yet."""
    return {at: count if at <= asked.now else None for at, count in points.items()}


def throughput(asked: Asked, known: Known) -> Drawn:
    names = ("submitted", "delivered", "cancelled", "failed", "blocked")
    return Drawn("jobs", both(asked, lambda before: _counted(asked, before, names)), note="")


def _counted(asked: Asked, before: bool, names: tuple[str, ...]) -> list[Line]:
    found = reading.counts(span(asked, before), names)
    return [
        Line(
            named(WORDS[name], before),
            counted_or_none(asked, before, {at: row[name] for (_, at), row in found.items()}),
            opens={"did": name},
            faint=before,
        )
        for name in names
    ]


def counted_or_none(
    asked: Asked, before: bool, points: Mapping[datetime, float]
) -> dict[datetime, float | None]:
    """A step in which nothing was counted is 0, not unknown."""
    return {at: points.get(at, 0) if at <= asked.now else None for at in _starts(asked.steps, before)}


def times(asked: Asked, known: Known) -> Drawn:
    def lines(before: bool) -> list[Line]:
        found = reading.spreads(span(asked, before), "time", "tier")
        return [
            Line(
                named(f"{name} {label}", before),
                quantiles(found, tier, share, SECOND),
                tier,
                dash,
                {"did": "delivered", "tier": tier},
                before,
            )
            for tier, name in known["tier"].items()
            if any(group == tier for group, _ in found)
            for label, share, dash in (("p50", 0.5, ""), ("p95", 0.95, "dot"))
        ]

    targets = [
        {"value": value, "label": f"{known['tier'].get(tier, tier)} p95 {value} s"}
        for tier, value in TIMES_S.items()
    ]
    note = "From the first enqueue to delivery, retries included; while a person reviews, the clock stands."
    return Drawn("s", both(asked, lines), targets=targets, note=note)


def stages(asked: Asked, known: Known) -> Drawn:
    """The mean of each stage over what was delivered: means add up where quantiles would not."""
    names = ["queue", *STAGE_WORDS]
    found = reading.counts(
        span(asked, False), ["delivered", "repeats", *(f"stage:{name}.sum" for name in names)]
    )
    lines = []
    for name in names:
        points = {
            at: row[f"stage:{name}.sum"] / SECOND / made
            for (_, at), row in found.items()
            if (made := row["delivered"] - row["repeats"])
        }
        if any(points.values()):
            words = "Queue" if name == "queue" else STAGE_WORDS[name]
            lines.append(Line(words, points, opens={"did": "delivered"}))
    note = "Mean seconds per delivered job, of the attempt that delivered. Encoding to storing run beside the device."
    return Drawn("s", lines, kind="bar", stacked=True, note=note)


def fleet(asked: Asked, known: Known) -> Drawn:
    def lines(before: bool) -> list[Line]:
        whose = span(asked, before)
        busy = reading.counts(whose, ["busy_ms"], "pool")
        ready = reading.counts(whose, ["capacity_ms"], "pool", leaving=("tier", "model"))
        return [
            Line(
                named(name, before),
                {
                    at: 100 * busy.get((pool, at), {"busy_ms": 0})["busy_ms"] / row["capacity_ms"]
                    for (group, at), row in ready.items()
                    if group == pool and row["capacity_ms"]
                },
                faint=before,
            )
            for pool, name in known["pool"].items()
            if any(group == pool and row["capacity_ms"] for (group, _), row in ready.items())
        ]

    return Drawn(
        "%", both(asked, lines), note="Slots with an attempt on the device, of slots of living workers."
    )


def failures(asked: Asked, known: Known) -> Drawn:
    return _by_reason(asked, {"failed:": "failed"}, "Failed for good, by error code.")


def rejections(asked: Asked, known: Known) -> Drawn:
    note = (
        "Refused: by the text filter before anything was held. Blocked: afterwards, by the prompt's category."
    )
    return _by_reason(asked, {"refused:": "", "blocked:": "blocked"}, note)


def _by_reason(asked: Asked, kinds: dict[str, str], note: str) -> Drawn:
    """Bars per reason, the most frequent first and the rest as one; those of jobs open their jobs."""
    found = reading.families(span(asked, False), list(kinds))
    sums: dict[str, int] = defaultdict(int)
    for (name, _), count in found.items():
        sums[name] += count
    kept = sorted(sums, key=lambda name: (-sums[name], name))[:MOST_REASONS]
    lines = [
        Line(
            _reason_words(name, kinds),
            {at: count for (one, at), count in found.items() if one == name},
            opens=_opens(name, kinds),
        )
        for name in kept
    ]
    rest: dict[datetime, float | None] = defaultdict(float)
    for (name, at), count in found.items():
        if name not in kept:
            rest[at] = (rest[at] or 0) + count
    if rest:
        lines.append(Line("Others", rest))
    return Drawn("jobs", lines, kind="bar", stacked=True, note=note)


def _reason_words(name: str, kinds: dict[str, str]) -> str:
    prefix, _, reason = name.partition(":")
    words = reason.replace("_", " ") or NO_CATEGORY
    return words if len(kinds) == 1 else f"{prefix}: {words}"


def _opens(name: str, kinds: dict[str, str]) -> dict[str, str] | None:
    prefix, _, reason = name.partition(":")
    did = kinds[f"{prefix}:"]
    return {"did": did, "reason": reason or "none"} if did else None


def not_finite(asked: Asked, known: Known) -> Drawn:
    def lines(before: bool) -> list[Line]:
        found = reading.counts(span(asked, before), ["not_finite", "clips_ended"])
        points = {
            at: 100 * row["not_finite"] / row["clips_ended"]
            for (_, at), row in found.items()
            if row["clips_ended"]
        }
        return [Line(named("Not finite", before), points, opens={"did": "not_finite"}, faint=before)]

    targets = ({"value": 100 * NAN_SHARE, "label": "alarm 0.5 %"},)
    return Drawn("%", both(asked, lines), targets=targets, note="Of the clips that ended.")


def retries(asked: Asked, known: Known) -> Drawn:
    names = ("retries", "preempted", "drained")
    lines = both(asked, lambda before: _counted(asked, before, names))
    return Drawn("times", lines, kind="bar", note="A job may count more than once.")


def tax(asked: Asked, known: Known) -> Drawn:
    lines = both(asked, lambda before: _of_one(asked, before, "tax", SECOND, (0.5, 0.99), "submitted"))
    return Drawn("ms", lines, note="What checking the text took, of jobs that were admitted.")


def signing(asked: Asked, known: Known) -> Drawn:
    lines = both(
        asked, lambda before: _of_one(asked, before, "stage:sign", SECOND, (0.5, 0.99), "clips_made")
    )
    targets = ({"value": SIGNING_S, "label": "budget 1 s"},)
    return Drawn("s", lines, targets=targets, note="Signing and verifying, of clips that were delivered.")


def _of_one(
    asked: Asked, before: bool, name: str, per: float, shares: tuple[float, ...], did: str
) -> list[Line]:
    found = reading.spreads(span(asked, before), name)
    return [
        Line(
            named(f"p{share * 100:.0f}", before),
            quantiles(found, "", share, per),
            dash="" if share == shares[0] else "dot",
            opens={"did": did},
            faint=before,
        )
        for share in (shares if found else ())
    ]
