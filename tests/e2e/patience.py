"""Waiting in a page whose policy forbids eval, which the browser driver's own wait_for_function needs."""

import time

from playwright.sync_api import Page


def until(page: Page, expression: str, seconds: float = 15) -> None:
    """Wait until a JavaScript expression is true in the page; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"it never became true: {expression}"
        page.wait_for_timeout(50)
