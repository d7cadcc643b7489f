"""The benchmark harness: what it prints, and how it takes its medians."""

import json

import pytest

from bench import __main__ as entry
from bench.harness import Figure, Run, per_second, percentile


def scripted(*values: float):
    """A measurement that gives these values in turn, and then no more."""
    left = list(values)
    return lambda: left.pop(0)


RUN = Run("postgresql://none", "redis://none", repeats=3, warmups=1)


def test_a_figure_is_one_json_object_with_the_agreed_keys():
    figure = Figure("claims_per_second_1k", 123.456789, "1/s", "the bare query", 246.913578)
    assert json.loads(figure.line()) == {
        "name": "claims_per_second_1k",
        "value": 123.5,
        "unit": "1/s",
        "reference": "the bare query",
        "reference_value": 246.9,
        "ratio": 0.5,
    }
    assert "\n" not in figure.line()


def test_the_median_leaves_out_the_warm_up():
    assert RUN.median(scripted(1000, 3, 1, 2)) == 2


def test_both_are_measured_in_turns():
    calls = []
    ours, reference = scripted(9, 1, 2, 3), scripted(9, 10, 20, 30)
    medians = RUN.beside(
        lambda: calls.append("ours") or ours(), lambda: calls.append("reference") or reference()
    )
    assert medians == (2, 20)
    assert calls == ["ours", "reference"] * 4


def test_percentiles_are_nearest_rank():
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7.0], 0.99) == 7


def test_a_rate_counts_what_was_done():
    assert per_second(10, lambda: None) > 10


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(SystemExit, match="no benchmark nonsense"):
        entry.chosen(["nonsense"])
