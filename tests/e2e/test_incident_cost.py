"""What an incident costs counts on in the browser; what this script can't count keeps what the server wrote."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

OPERATOR = "operator@demo.backlot.local"
# As a page of another release than the script's may say it: without the moment that the cost is of.
WITHOUT_ITS_MOMENT = """document.body.insertAdjacentHTML(
    "beforeend", '<b id="other" data-cost="5000000" data-rate="75000000">$5.00</b>')"""


def test_a_cost_counts_on_and_is_always_a_number(page, sign_in):
    sign_in(page, OPERATOR)
    page.goto("/operate/incidents/")
    page.locator("#title").fill("Clips look green")
    page.locator("#reason").fill("three people wrote")
    page.get_by_role("button", name="Open the incident").click()
    page.wait_for_url("**/operate/incidents/*/")
    cost = page.locator(".incident-cost b")
    expect(cost).to_contain_text("$")
    page.evaluate(WITHOUT_ITS_MOMENT)
    for _ in range(2):  # ticks of on-call time
        expect(cost).not_to_have_text(cost.inner_text(), timeout=30_000)
        assert "NaN" not in cost.inner_text()
    expect(page.locator("#other")).to_have_text("$5.00")
    page.locator("#why").fill("it was the light")
    page.get_by_role("button", name="It is resolved").click()
    expect(page.locator(".incident-standing")).to_contain_text("Resolved", timeout=30_000)
