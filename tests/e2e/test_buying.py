"""Buying credits as a person does: three clicks through the sandbox's own checkout, and the balance has them."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e

OWNER = "pro-owner@demo.backlot.local"


def purchased(page: Page) -> float:
    """The purchased credits as the page shows them."""
    figure = page.locator(".bucket:has(h2:text-is('Purchased')) .big").inner_text()
    return float(re.match(r"[\d,.]+", figure).group().replace(",", ""))


def test_three_clicks_bring_credits_within_a_second(page, sign_in):
    sign_in(page, OWNER)
    page.get_by_role("link", name="Buy credits").first.click()
    before = purchased(page)
    page.get_by_role("button", name="Buy for $10.00").click()
    expect(page.get_by_role("heading", name="1,000 credits")).to_be_visible()
    expect(page.get_by_text("No real money is taken")).to_be_visible()
    began = time.monotonic()
    page.get_by_role("button", name="Pay $10.00").click()
    expect(page.get_by_text("1,000 credits arrived")).to_be_visible()
    took = time.monotonic() - began
    assert purchased(page) == before + 1_000
    row = page.locator("table.purchases tbody tr").first
    expect(row).to_contain_text("Paid")
    print(f"from Pay to the new balance: {took:.2f} s")  # noqa: T201  shown with -s
    row.get_by_role("link", name="Receipt").click()
    expect(page.get_by_role("heading", name="1,000 credits")).to_be_visible()


def test_a_payment_that_ends_elsewhere_is_seen_without_a_reload(page, sign_in):
    sign_in(page, OWNER)
    page.goto("/credits/")
    before = purchased(page)
    page.get_by_role("button", name="Buy for $10.00").click()
    checkout = page.url
    page.goto("/credits/")
    expect(page.locator("table.purchases tbody tr").first).to_contain_text("Waiting for the payer")
    other = page.context.new_page()
    other.goto(checkout)
    other.get_by_role("button", name="Pay $10.00").click()
    expect(page.locator("table.purchases tbody tr").first).to_contain_text("Paid", timeout=10_000)
    assert purchased(page) == before + 1_000


def test_a_declined_card_then_one_that_needs_confirmation(page, sign_in):
    sign_in(page, OWNER)
    page.goto("/credits/")
    before = purchased(page)
    page.get_by_role("button", name="Buy for $10.00").click()
    page.get_by_text("4000 0000 0000 0002").click()
    page.get_by_role("button", name="Pay $10.00").click()
    expect(page.get_by_role("alert")).to_contain_text("The card was declined. Nothing was charged")
    page.get_by_text("4000 0027 6000 3184").click()
    page.get_by_role("button", name="Pay $10.00").click()
    expect(page.get_by_role("heading", name="Is this you?")).to_be_visible()
    page.get_by_role("button", name="Confirm the payment").click()
    expect(page.get_by_text("1,000 credits arrived")).to_be_visible()
    assert purchased(page) == before + 1_000
