"""A member of staff enrols a passkey in a real browser and signs in with it: Chromium's own virtual authenticator."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import second_step

pytestmark = pytest.mark.e2e

PERSON = "billing-admin-2@demo.backlot.local"
PLATFORM_KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(live, browser):
    """On localhost, because browsers make no passkeys for a bare address; with an authenticator that always agrees."""
    context = browser.new_context(base_url=f"http://localhost:{live.port}")
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": PLATFORM_KEY})
    yield page
    context.close()


def with_password(page, live) -> None:
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill(PERSON)
    page.locator("input[name=password]").fill(live.sign_ins[PERSON].password)
    page.locator("form:has(input[name=password]) [type=submit]").click()
    page.wait_for_url("**/accounts/2fa/authenticate/**")


def test_a_staff_room_opens_with_a_passkey(page, live):
    with_password(page, live)
    second_step(page, live.sign_ins[PERSON].totp_secret)
    page.wait_for_url(lambda url: "/accounts/" not in url)

    page.goto("/accounts/2fa/webauthn/add/")
    page.wait_for_url("**/accounts/reauthenticate/**")  # a new way in is asked for twice
    page.locator("main input[name=password]").fill(live.sign_ins[PERSON].password)
    page.locator("main form:has(input[name=password]) [type=submit]").click()
    page.locator("input[name=name]").fill("This laptop")
    page.locator("#mfa_webauthn_add").click()
    page.wait_for_url(lambda url: not url.endswith("/add/"))
    page.goto("/accounts/2fa/webauthn/")
    expect(page.locator("main")).to_contain_text("This laptop")

    page.context.clear_cookies()
    with_password(page, live)
    page.goto("/staff/billing/")  # the password alone opens nothing
    assert "/accounts/" in page.url
    page.goto("/accounts/2fa/authenticate/")
    page.locator("#mfa_webauthn_authenticate").click()
    page.wait_for_url(lambda url: "/accounts/" not in url)
    page.goto("/staff/billing/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.url.endswith("/staff/billing/")
