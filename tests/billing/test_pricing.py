import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing import amount_micro, in_credits

UNITS = st.integers(0, 10**13)
PRICES = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("units_micro", "micro_per_unit", "expected"),
    [
        (0, 300_000, 0),
        (1_000_000, 300_000, 300_000),  # 1 unit = 0.3 credit
        (500_000_000, 300_000, 150_000_000),  # a minute of the reference clip: 500 units, 150 credits
        (1, 500_000, 1),  # half a micro-credit rounds up
        (1, 499_999, 0),
        (3, 500_000, 2),
    ],
)
def test_price_of_units_rounds_half_up_once(units_micro, micro_per_unit, expected):
    assert amount_micro(units_micro, micro_per_unit) == expected


@given(UNITS, PRICES)
def test_price_is_within_half_a_micro_credit_of_the_exact_product(units_micro, micro_per_unit):
    twice_off = 2 * (amount_micro(units_micro, micro_per_unit) * 1_000_000 - units_micro * micro_per_unit)
    assert -1_000_000 < twice_off <= 1_000_000


@given(UNITS, UNITS, PRICES)
def test_fewer_units_never_cost_more(one, other, price):
    less, more = sorted([one, other])
    assert amount_micro(less, price) <= amount_micro(more, price)


@pytest.mark.parametrize(("units", "price"), [(-1, 1), (1, -1)])
def test_negative_amounts_are_refused(units, price):
    with pytest.raises(ValueError, match="never negative"):
        amount_micro(units, price)


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0.00"),
        (300_000, "0.30"),
        (1_000_001, "1.000001"),
        (12_345_600_000, "12,345.60"),
        (-1_500_000, "-1.50"),
    ],
)
def test_credits_in_words(micro, text):
    assert in_credits(micro) == text
