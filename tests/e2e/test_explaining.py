"""Explain a charge: from the balance in the strip to the price, the usage and the entries behind one line."""

import json
import re
import urllib.request

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

OWNER = "plus-owner@demo.backlot.local"


def complete(live, organization: str) -> dict:
    """One completion by an API key of the organization."""
    body = {"model": "pocket-code", "prompt": "def g(x):\n", "max_tokens": 8}
    request = urllib.request.Request(
        f"{live.url}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {live.api_key(organization)}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def test_a_charge_is_explained_down_to_its_entries(page, live, sign_in):
    made = complete(live, "plus-demo")
    tokens = made["usage"]["completion_tokens"]
    sign_in(page, OWNER)
    page.get_by_title("What can be spent now").click()
    page.get_by_role("navigation", name="Lines").get_by_role("link", name="Charged", exact=True).click()
    line = page.locator("table.statement tbody tr").first
    expect(line).to_contain_text("Completion")
    charged = line.locator(".amount").inner_text().strip().lstrip("−").split()[0]
    line.locator("a[data-row]").click()

    expect(page.get_by_text("Why this was charged")).to_be_visible()
    chain = page.locator(".chain")
    for step in ("Request and decision", "Price version", "Set aside", "Usage event", "Charge", "Entries"):
        expect(chain.get_by_role("heading", name=re.compile(f"^{step}"))).to_be_visible()
    expect(chain.locator("li", has_text="Usage event")).to_contain_text("tokens")
    expect(chain.locator("li", has_text=re.compile("^.*Charge \\d")).first).to_contain_text(charged)
    entries = [
        float(cell.replace("−", "-").replace("+", "").replace(",", ""))
        for cell in chain.locator("table.entries tbody tr td.number").all_inner_texts()
    ]
    assert abs(sum(entries)) < 1e-9
    assert len(entries) >= 3
    page.get_by_role("link", name="A completion").click()
    expect(
        page.get_by_text(f"{tokens} written").or_(page.get_by_text(f"{tokens} tokens")).first
    ).to_be_visible()
