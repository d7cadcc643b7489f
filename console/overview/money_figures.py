"""Device time, what it cost, and credits, as lines over time."""

from collections.abc import Mapping
from datetime import datetime

from console.overview import reading
from console.overview.asked import Asked
from console.overview.drawing import Drawn, Line, both, named
from console.overview.known import Known
from console.overview.reading import Span
from console.overview.service_figures import counted_or_none, span
from generation.costs import gpu_prices
from generation.costs.gpu_prices import Price

MS_AN_HOUR, MICRO, SECOND = 3_600_000, 1_000_000, 1000
ENDED = {"did": "ended"}


def _lines(
    asked: Asked, before: bool, names: Mapping[str, str], per: float, opens: dict | None
) -> list[Line]:
    found = reading.counts(span(asked, before), list(names))
    return [
        Line(
            named(words, before),
            counted_or_none(asked, before, {at: row[name] / per for (_, at), row in found.items()}),
            opens=opens,
            faint=before,
        )
        for name, words in names.items()
    ]


def devices(asked: Asked, known: Known) -> Drawn:
    """Used and wasted for customers; what Backlot's own jobs took is a line beside them, with no list behind it."""

    def lines(before: bool) -> list[Line]:
        return [
            *_lines(asked, before, {"gpu_ms": "Used", "wasted_ms": "Wasted"}, SECOND, ENDED),
            *_lines(asked, before, {"own_ms": "Own checks"}, SECOND, None),
        ]

    note = (
        "Of the jobs that ended in each step; wasted: done again, or of jobs that failed or were blocked. "
        "Own checks: jobs that Backlot makes to see that all works, which no other figure counts."
    )
    return Drawn("GPU-s", both(asked, lines), note=note)


def saved(asked: Asked, known: Known) -> Drawn:
    names = {"saved_ms": "By checkpoints", "early_ms": "By early looks"}
    note = "Steps that a checkpoint spared a later attempt, and steps that a clip stopped at a preview didn't run."
    lines = both(asked, lambda before: _lines(asked, before, names, SECOND, ENDED))
    return Drawn("GPU-s", lines, kind="bar", stacked=not asked.compare, note=note)


def cost(asked: Asked, known: Known) -> Drawn:
    """Device time of the clip pools at the price that stood when the step began ÷ clips made in it."""

    def lines(before: bool) -> list[Line]:
        whose = span(asked, before)
        prices = gpu_prices.over(whose.since, max(whose.until, asked.now) if not before else whose.until)
        points = cost_points(whose, prices)
        return [Line(named("Per clip", before), points, opens={"did": "clips_made"}, faint=before)]

    note = "All device time of clips, wasted or not, ÷ clips made; at the prices of the pools then."
    return Drawn("$", both(asked, lines), note=note)


def cost_points(whose: Span, prices: list[Price]) -> dict[datetime, float | None]:
    """Step → dollars per clip made; None where none was."""
    spent: dict[datetime, float] = {}
    made: dict[datetime, int] = {}
    pools = {price.pool for price in prices}
    for (pool, at), row in reading.counts(whose, ["gpu_ms", "clips_made"], "pool").items():
        if pool in pools:
            price = next((one for one in prices if one.pool == pool and one.since <= at < one.until), None)
            micro = price.micro_dollars if price else 0
            spent[at] = spent.get(at, 0.0) + row["gpu_ms"] * micro / MS_AN_HOUR / MICRO
            made[at] = made.get(at, 0) + row["clips_made"]
    return {at: spent[at] / made[at] if made[at] else None for at in spent}


def credits(asked: Asked, known: Known) -> Drawn:
    """Sold is nobody's lane, so that filters leave it as it is."""

    def lines(before: bool) -> list[Line]:
        whose = span(asked, before)
        sold = reading.counts(whose, ["sold_micro"], leaving=("pool", "tier", "model"))
        points = counted_or_none(
            asked, before, {at: row["sold_micro"] / MICRO for (_, at), row in sold.items()}
        )
        return [
            Line(named("Sold", before), points, faint=before),
            *_lines(asked, before, {"used_micro": "Used"}, MICRO, ENDED),
        ]

    note = "Sold: purchases of all organizations, whatever the filters. Used: charged to the jobs that ended."
    return Drawn("credits", both(asked, lines), kind="bar", note=note)


def late(asked: Asked, known: Known) -> Drawn:
    def lines(before: bool) -> list[Line]:
        return [
            *_lines(asked, before, {"late": "Late clips"}, 1, {"did": "late"}),
            *_lines(asked, before, {"sla_micro": "Credits given"}, MICRO, {"did": "late"}),
        ]

    note = "Clips over the time promised for their tier, model and length; a credit is given by itself."
    return Drawn("clips, credits", both(asked, lines), kind="bar", note=note)
