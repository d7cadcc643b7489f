"""How figures are written on every page: exact text for exact values."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template

from console.templatetags import figures


@pytest.mark.parametrize(
    ("micro", "words"),
    [
        (41_000_000, "41 credits"),
        (1_000_000, "1 credit"),
        (300_000, "0.3 credits"),
        (46_200, "0.0462 credits"),
        (1, "0.000001 credits"),
        (0, "0 credits"),
        (12_345_678, "12.3 credits"),
        (2_119_700_000, "2,120 credits"),
        (None, "–"),
    ],
)
def test_credits_have_three_significant_figures(micro, words):
    assert figures.credits(micro) == words


@pytest.mark.parametrize(
    ("micro", "words"),
    [(-300_000, "−0.3"), (2_119_607_600, "2,119.6076"), (1, "0.000001"), (0, "0"), (120_000_000, "120")],
)
def test_amounts_are_written_in_full(micro, words):
    assert figures.amount(micro) == words


def test_what_came_in_has_a_plus():
    assert [figures.signed_amount(micro) for micro in (5_000_000, -5_000_000, 0)] == ["+5", "−5", "0"]


def test_the_balance_never_promises_more_than_there_is():
    assert figures.balance(2_119_999_999) == "2,119.99 credits"
    assert figures.balance(9_999) == "0 credits"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 s"),
        (0.0004, "1 ms"),
        (0.35, "350 ms"),
        (0.9996, "1.0 s"),
        (1.24, "1.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (11_040, "3 h 4 min"),
        (183_600, "2 d 3 h"),
        (timedelta(seconds=90), "1 min 30 s"),
        (-2.5, "−2.5 s"),
        (None, "–"),
    ],
)
def test_durations_are_humane(value, words):
    assert figures.seconds(value) == words


def test_percent_and_sizes():
    assert [figures.percent(share) for share in (0.125, 1.0, 0.0, None)] == ["12.5 %", "100 %", "0 %", "–"]
    assert [figures.size_of(n) for n in (999, 48_900, 4_815_814, None)] == [
        "999 B",
        "48.9 kB",
        "4.82 MB",
        "–",
    ]


def test_a_moment_is_written_in_utc_for_the_script_to_localise():
    moment = datetime(2026, 11, 21, 15, 34, 12, tzinfo=UTC)
    shown = figures.when(moment, "time")
    assert shown == (
        '<time datetime="2026-11-21T15:34:12.000+00:00" title="2026-11-21 15:34:12 UTC" data-when="time">'
        "15:34:12 UTC</time>"
    )
    assert figures.when(None) == "–"


def test_ids_are_short_with_the_whole_one_to_copy():
    public = "video_3cd24f6b774a456c85ca714ac2970ed0"
    assert figures.short_id(public) == "video_3cd24f…0ed0"
    html = Template("{% id_with_copy value %}").render(Context({"value": public}))
    assert f'data-copy="{public}"' in html


def test_an_icon_is_hidden_from_readers_unless_it_speaks():
    assert 'aria-hidden="true"' in Template('{% icon "check" %}').render(Context())
    assert 'role="img" aria-label="done"' in Template('{% icon "check" "done" %}').render(Context())
    with pytest.raises(KeyError):
        Template('{% icon "no-such-icon" %}').render(Context())
