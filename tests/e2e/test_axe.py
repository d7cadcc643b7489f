"""axe finds nothing serious or critical on any page, in either theme, nor where something is open over a page."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.e2e.test_every_page import PEOPLE

pytestmark = pytest.mark.e2e

COUNTED = ("serious", "critical")
OWNER = "plus-owner@demo.backlot.local"


@pytest.fixture(scope="module")
def axe() -> Axe:
    return Axe()


def findings(axe: Axe, page: Page) -> Iterator[str]:
    """What axe says of the page as it stands, as lines for people."""
    page.wait_for_load_state("load")
    for rule in axe.run(page).response["violations"]:
        if rule["impact"] in COUNTED:
            for node in rule["nodes"]:
                why = " ".join(node["failureSummary"].split())
                yield f"{rule['impact']} {rule['id']}: {node['html'][:160]} ({why[:240]})"


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 1440),
        ("dark", 390),
        pytest.param("light", 390, marks=pytest.mark.long),
        pytest.param("dark", 1440, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("email", PEOPLE)
def test_axe_finds_nothing_serious_on_any_page(axe, new_page, sign_in, theme, width, email):
    page = new_page(theme=theme, width=width)
    if email:
        sign_in(page, email)
    faults = []
    for address in PEOPLE[email]:
        page.goto(address)
        faults += [f"{address}: {fault}" for fault in findings(axe, page)]
    assert faults == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_what_opens(axe, new_page, sign_in, theme):
    page = new_page(theme=theme)
    sign_in(page, OWNER)
    page.locator("html.scripted").wait_for()
    page.keyboard.press("Control+k")
    page.get_by_role("option").first.wait_for()
    faults = [f"palette: {fault}" for fault in findings(axe, page)]
    page.keyboard.press("Escape")
    page.locator("summary[aria-label^='You:']").click()
    faults += [f"menu: {fault}" for fault in findings(axe, page)]
    assert faults == []


def test_axe_is_at_work(axe, page):
    """A name that is gone is found: silence above means something."""
    page.goto("/accounts/login/")
    page.evaluate("document.querySelector('[type=submit]').replaceChildren()")
    found = list(findings(axe, page))
    assert any(fault.startswith("critical button-name") for fault in found), found
