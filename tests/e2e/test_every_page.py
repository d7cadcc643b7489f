"""Every page for everyone who may see it, in both themes: it loads whole, and its scripts don't fail."""

import pytest

pytestmark = pytest.mark.e2e

OWNER = ("/", "/code/", "/history/", "/usage/", "/keys/", "/members/", "/styleguide")
OPERATOR = ("/operate/", "/operate/lanes/")
THEMES = ("light", "dark")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("email", "paths"),
    [("pro-owner@demo.backlot.local", OWNER), ("operator@demo.backlot.local", OPERATOR)],
    ids=["owner", "operator"],
)
def test_pages_load_without_a_fault(new_page, sign_in, theme, email, paths):
    page = new_page(theme)
    sign_in(page, email)
    for path in paths:
        response = page.goto(path)
        assert response.status == 200, path
        page.wait_for_load_state("load")
        assert page.locator("h1").first.is_visible(), path


def test_a_wrong_password_is_said_and_lets_nobody_in(page, live):
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill("pro-owner@demo.backlot.local")
    page.locator("input[name=password]").fill("not the password")
    page.locator("form:has(input[name=password]) [type=submit]").click()
    page.wait_for_load_state("load")
    assert "/accounts/login" in page.url
    assert page.goto("/usage/").url.startswith(f"{live.url}/accounts/login")
