"""Names and labels as Prometheus wants them: one prefix, base units, `_total`, and nothing that grows without end."""

import re

import pytest

from console.observability.metrics import catalog
from console.observability.metrics.catalog import COUNTER, GAUGE, HISTOGRAM

EACH = pytest.mark.parametrize("family", catalog.FAMILIES, ids=lambda family: family.key)
# Units that are no base unit, as promtool's check refuses them.
BARRED = (
    "milliseconds", "ms", "minutes", "hours", "days", "micro", "kilobytes", "megabytes", "kb", "mb", "percent", "pct",
)  # fmt: skip
UNITS = ("seconds", "bytes", "ratio", "credits", "jobs", "rows")
# What would be a series a person, a job or a text.
UNBOUNDED = (
    "organization", "user", "email", "key", "job", "id", "attempt", "prompt", "path", "url", "subject", "host", "ip",
)  # fmt: skip


@EACH
def test_a_name_is_one_that_prometheus_takes(family):
    assert re.fullmatch(r"backlot_[a-z][a-z0-9_]*", family.name)
    assert family.name.endswith("_total") == (family.kind == COUNTER)
    assert not set(family.name.split("_")) & set(BARRED)
    assert not family.name.endswith(("_count", "_sum", "_bucket", "_info"))


@EACH
def test_a_histogram_is_in_seconds_and_its_bounds_rise(family):
    if family.kind == HISTOGRAM:
        assert family.name.endswith("_seconds")
        assert list(family.buckets) == sorted(set(family.buckets))
    else:
        assert family.buckets == ()


@EACH
def test_a_name_holds_a_unit_last_if_at_all(family):
    words = family.key.split("_")
    units = [word for word in words if word in ("seconds", "bytes", "ratio")]
    assert units in ([], [words[-1]]), "the unit is the last word"


@EACH
def test_labels_are_words_from_short_lists(family):
    assert not set(family.labels) & set(UNBOUNDED)
    assert len(set(family.labels)) == len(family.labels) <= 4
    assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in family.labels)
    assert "le" not in family.labels
    assert "quantile" not in family.labels


@EACH
def test_each_says_what_it_is_in_a_sentence(family):
    assert family.help[0].isupper() or family.help[0].isdigit()
    assert family.help.endswith(".")
    assert family.kind in (COUNTER, GAUGE, HISTOGRAM)


def test_no_name_is_given_twice():
    series = [name for family in catalog.FAMILIES for name in family.series]
    assert len(series) == len(set(series))


def test_the_table_of_the_manual_is_this_catalog():
    from pathlib import Path

    manual = Path(__file__).resolve().parents[3] / "docs" / "operators" / "observability.md"
    told = {}
    for line in manual.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`backlot_"):
            told[cells[0].strip("`")] = (cells[1], cells[2].replace("`", ""), cells[3])
    wanted = {
        family.name: (family.kind, ", ".join(family.labels), family.help) for family in catalog.FAMILIES
    }
    assert told == wanted
