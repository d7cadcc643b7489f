"""`make screens`: pictures of the main pages, light and dark, from a Backlot of its own, into docs/screens.

What they show is real: clips and a completion made by the shipped models, a backlog in every lane, one weight changed.
"""

import json
import time
import urllib.request
from pathlib import Path

from tests import servers

servers.prepare()

import django  # noqa: E402

django.setup()

from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright  # noqa: E402

from tests.e2e.conftest import CHROMIUM, FLAGS, second_step  # noqa: E402
from tests.live import Live  # noqa: E402

TARGET = Path(__file__).resolve().parents[2] / "docs" / "screens"
OWNER, OPERATOR = "pro-owner@demo.backlot.local", "operator@demo.backlot.local"
PROMPTS = (
    "a small yellow star bouncing in the snow",
    "a big blue square falling over the sea",
    "an orange ball circling at night",
    "a green triangle climbing on a beach",
    "a pink star drifting right on a wooden floor",
)
WATCHED = "a red ball rolling left over grass at sunset"
CODE = 'def read_lines(path):\n    """Return the lines of a text file."""\n'
ORGANIZATIONS = ("free-demo", "plus-demo", "pro-demo", "enterprise-demo")
BACKLOG = 10  # clips per organization that wait while the lanes are pictured
WAITED_S = 75  # until then the chart has nothing to show
PATIENCE_S = 600
MOST_BYTES = 250_000
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
HIGH_DESK = {"width": 1440, "height": 1160}  # the lanes with their chart


class Studio:
    """A live Backlot with a browser, and its owner's API keys."""

    def __init__(self, live: Live, browser: Browser) -> None:
        self.live, self.browser = live, browser
        self.sessions: dict[str, list] = {}
        self.keys = {slug: live.api_key(slug) for slug in ORGANIZATIONS}

    def call(self, slug: str, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.keys[slug]}", "Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(self.live.url + path, data, headers), timeout=60
        ) as response:
            return json.load(response)

    def clip(self, slug: str, prompt: str) -> str:
        return self.call(slug, "/v1/videos", {"model": "pocket-video", "prompt": prompt})["id"]

    def context(self, email: str, theme: str, size: dict) -> BrowserContext:
        """A signed-in person at a desk or with a phone."""
        context = self.browser.new_context(base_url=self.live.url, color_scheme=theme, viewport=size)
        if email in self.sessions:  # the code of a second step counts once
            context.add_cookies(self.sessions[email])
            context.new_page()
            return context
        page = context.new_page()
        page.goto("/accounts/login/")
        page.locator("input[name=login]").fill(email)
        page.locator("input[name=password]").fill(self.live.sign_ins[email].password)
        page.locator("form:has(input[name=password]) [type=submit]").click()
        secret = self.live.sign_ins[email].totp_secret
        if secret:
            page.wait_for_url("**/accounts/2fa/authenticate/**")
            second_step(page, secret)
        page.wait_for_url(lambda url: "/accounts/" not in url)
        self.sessions[email] = context.cookies()
        return context


def patiently(done) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise SystemExit("screens: something was not finished in time")
        time.sleep(0.5)


def picture(page: Page, name: str) -> None:
    """Keep what is on the screen, packed well, and in 256 colours where only that makes it small enough."""
    TARGET.mkdir(parents=True, exist_ok=True)
    path = TARGET / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as taken:
        full = taken.convert("RGB")
    full.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        full.quantize(256).save(path, optimize=True)
    print(f"docs/screens/{name}.png {path.stat().st_size // 1000} kB")  # noqa: T201


def shown(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("load")
    page.wait_for_timeout(1_500)  # players show their first frame, charts are drawn


def make_things(studio: Studio) -> None:
    """The owner's earlier clips and a completion, by hand in the studio, so that they are theirs."""
    context = studio.context(OWNER, "light", DESK)
    page = context.pages[0]
    for prompt in PROMPTS:
        page.locator("#prompt").fill(prompt)
        page.get_by_role("button", name="Make the clip").click()
        page.locator("article.card", has_text=prompt).wait_for()
    patiently(lambda: page.locator("article.card video").count() >= len(PROMPTS))
    page.goto("/code/")
    page.locator("#prompt").fill(CODE)
    page.get_by_role("button", name="Write on").click()
    patiently(lambda: page.get_by_text("tokens read").count())
    context.close()


def studio_pictures(studio: Studio, theme: str) -> None:
    """The studio while a clip is made, the clip's page when it is, then the owner's other pages."""
    context = studio.context(OWNER, theme, DESK)
    page = context.pages[0]
    page.wait_for_timeout(1_000)
    page.locator("#prompt").fill(WATCHED)
    page.get_by_role("button", name="Make the clip").click()
    watched = page.locator("article.card", has_text=WATCHED).first
    watched.locator("img").wait_for(timeout=120_000)
    page.wait_for_timeout(150)
    picture(page, f"studio-{theme}-1440")
    watched.locator("video").wait_for(timeout=120_000)
    job = watched.locator(".card-prompt").get_attribute("href")
    for name, address in {"job": job, "code": code_address(page), "usage": "/usage/"}.items():
        shown(page, address)
        picture(page, f"{name}-{theme}-1440")
    context.close()
    context = studio.context(OWNER, theme, PHONE)
    for name, address in {"studio": "/", "job": job}.items():
        shown(context.pages[0], address)
        picture(context.pages[0], f"{name}-{theme}-390")
    context.close()


def code_address(page: Page) -> str:
    page.goto("/code/")
    return page.locator("a[data-row]").first.get_attribute("href")


def fill_the_lanes(studio: Studio) -> None:
    """A backlog in every lane, and a weight that an operator raised for it."""
    for number in range(BACKLOG):
        for slug in ORGANIZATIONS:
            studio.clip(slug, PROMPTS[number % len(PROMPTS)])
    context = studio.context(OPERATOR, "light", DESK)
    page = context.pages[0]
    page.goto("/operate/lanes/?edit=clips-plus")
    page.locator("#value").fill("4")
    page.locator("#lane-preview figure").first.wait_for()
    page.locator("#reason").fill("Free-tier rush: Plus waits longer than a minute")
    page.locator("#expires").select_option("60")
    page.get_by_role("button", name="Apply the change").click()
    page.locator(".messages").wait_for()
    context.close()
    time.sleep(WAITED_S)


def operator_pictures(studio: Studio, theme: str) -> None:
    context = studio.context(OPERATOR, theme, HIGH_DESK)
    page = context.pages[0]
    for name, address in {
        "lanes": "/operate/lanes/",
        "operate": "/operate/",
        "costs": "/operate/costs/",
    }.items():
        shown(page, address)
        page.wait_for_timeout(1_500)
        picture(page, f"{name}-{theme}-1440")
    context.close()


def main() -> None:
    with Live() as live, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        studio = Studio(live, browser)
        make_things(studio)
        for theme in ("light", "dark"):
            studio_pictures(studio, theme)
        fill_the_lanes(studio)
        for theme in ("light", "dark"):
            operator_pictures(studio, theme)
        browser.close()


if __name__ == "__main__":
    main()
