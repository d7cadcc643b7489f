"""`make screens`: pictures of the main pages, light and dark, from a Backlot of its own, into docs/screens."""

import json
import sys
import time
import urllib.request
from pathlib import Path

from tests import servers

servers.prepare()

import django  # noqa: E402

django.setup()

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from tests.e2e.conftest import CHROMIUM, FLAGS  # noqa: E402
from tests.live import Live  # noqa: E402

TARGET = Path(__file__).resolve().parents[2] / "docs" / "screens"
OWNER, OPERATOR = "pro-owner@demo.backlot.local", "operator@demo.backlot.local"
PROMPTS = ("a red ball rolling left over grass", "a blue square drifting up over the sea")
PATIENCE_S = 240


def call(live: Live, key: str, path: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(live.url + path, data, headers), timeout=60
    ) as response:
        return json.load(response)


def make_clips(live: Live) -> list[str]:
    """A few finished clips and a completion, so that the pages have something to show; the ids of the clips."""
    key = live.api_key("pro-demo")
    ids = [
        call(live, key, "/v1/videos", {"model": "pocket-video", "prompt": prompt})["id"] for prompt in PROMPTS
    ]
    call(
        live,
        key,
        "/v1/completions",
        {"model": "pocket-code", "prompt": "def mean(values):\n", "max_tokens": 48},
    )
    end = time.monotonic() + PATIENCE_S
    while any(call(live, key, f"/v1/videos/{one}")["status"] not in {"completed", "failed"} for one in ids):
        if time.monotonic() > end:
            sys.exit("screens: the clips were not finished in time")
        time.sleep(1)
    return ids


def sign_in(page: Page, live: Live, email: str) -> None:
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill(live.sign_ins[email].password)
    page.locator("form:has(input[name=password]) [type=submit]").click()
    page.wait_for_url(lambda url: "/accounts/login" not in url)


def picture(page: Page, path: str, name: str) -> None:
    page.goto(path)
    page.wait_for_load_state("load")
    page.wait_for_timeout(1500)  # charts draw themselves, a player shows its first frame
    page.screenshot(path=TARGET / f"{name}.png")
    print(f"docs/screens/{name}.png")  # noqa: T201


def pictures(browser: Browser, live: Live, theme: str, clip: str) -> None:
    """One theme: the owner's pages, then the operator's."""
    for email, pages in (
        (OWNER, {"studio": "/", "job": f"/jobs/{clip}/", "code": "/code/", "usage": "/usage/"}),
        (OPERATOR, {"operate-jobs": "/operate/", "operate-lanes": "/operate/lanes/"}),
    ):
        size = {"width": 1280, "height": 860}
        context = browser.new_context(base_url=live.url, color_scheme=theme, viewport=size)
        page = context.new_page()
        sign_in(page, live, email)
        for name, path in pages.items():
            picture(page, path, f"{name}-{theme}")
        context.close()


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with Live() as live, sync_playwright() as playwright:
        clips = make_clips(live)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for theme in ("light", "dark"):
            pictures(browser, live, theme, clips[0])
        browser.close()


if __name__ == "__main__":
    main()
