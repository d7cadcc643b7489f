"""A running Backlot and a real browser for the tests here."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from accounts import second_factor
from tests.live import Live

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    """One Backlot for all browser tests: `.url`, `.sign_ins[email].password`, `.api_key(organization)`.

    BACKLOT_E2E_HOME names a home to keep, which starts faster the next time.
    """
    kept = os.environ.get("BACKLOT_E2E_HOME")
    with Live(kept and Path(kept)) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not os.path.exists(CHROMIUM):
        pytest.fail(
            f"no Chromium at {CHROMIUM}: install it (apt-get install chromium) or set CHROMIUM to its path"
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def new_page(live: Live, browser: Browser) -> Iterator[Callable[..., Page]]:
    """`new_page(theme="dark", width=…, height=…)`: a page in a context of its own, addresses relative to Backlot.

    A script that fails, or a resource that is missing or comes from elsewhere, fails the test.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # htmx logs the bare event of a stream that ended because the page was left.
        if message.type == "error" and not message.text.endswith("[object Event]"):
            faults.append(f"console: {message.text} at {message.location.get('url')}")

    def make(theme: str = "light", width: int = 1280, height: int = 900) -> Page:
        context = browser.new_context(
            base_url=live.url, color_scheme=theme, viewport={"width": width, "height": height}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.on("console", note)
        page.on("request", lambda request: foreign(request.url) and faults.append(f"foreign: {request.url}"))
        return page

    def foreign(url: str) -> bool:
        return not url.startswith((live.url, "data:", "blob:", "about:"))

    yield make
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


@pytest.fixture(scope="session")
def staff_cookies() -> dict[str, list]:
    """Sessions of staff who have passed the second step: a code counts once, so one sign-in serves all tests."""
    return {}


@pytest.fixture
def sign_in(live: Live, staff_cookies: dict[str, list]) -> Callable[[Page, str], None]:
    """`sign_in(page, email)`: as a person would, on the sign-in page; staff with the code of their app, once."""

    def enter(page: Page, email: str) -> None:
        if email in staff_cookies:
            page.context.add_cookies(staff_cookies[email])
            page.goto("/")
            return
        row = live.sign_ins[email]
        page.goto("/accounts/login/")
        page.locator("input[name=login]").fill(email)
        page.locator("input[name=password]").fill(row.password)
        page.locator("form:has(input[name=password]) [type=submit]").click()
        if row.totp_secret:
            page.wait_for_url("**/accounts/2fa/authenticate/**")
            second_step(page, row.totp_secret)
        page.wait_for_url(lambda url: "/accounts/" not in url)
        if row.totp_secret:
            staff_cookies[email] = page.context.cookies()

    return enter


def second_step(page: Page, secret: str) -> None:
    """Type the code of the authenticator app, a fresh one where the current one is about to end."""
    code, left = second_factor.current_code(secret)
    if left < 4:
        page.wait_for_timeout((left + 0.2) * 1000)
        code, _ = second_factor.current_code(secret)
    page.locator("input[name=code]").fill(code)
    page.locator("form:has(input[name=code]) [type=submit]").click()
