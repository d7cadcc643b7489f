"""What the pictures are taken of: people who are signed in, and things that happened."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Locator, Page

from tests.e2e.conftest import second_step
from tests.live import Live

OWNER, OPERATOR = "plus-owner@demo.backlot.local", "operator@demo.backlot.local"
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
BACKLOG = 8  # clips per organization that wait while the lanes are pictured
PATIENCE_S = 900
CLIP_MS = 300_000


@dataclass(frozen=True)
class Size:
    width: int
    height: int

    @property
    def viewport(self) -> dict[str, int]:
        return {"width": self.width, "height": self.height}


DESK, PHONE = Size(1440, 900), Size(390, 844)


class People:
    """A live Backlot with a browser, its people's sessions and its organizations' API keys."""

    def __init__(self, live: Live, browser: Browser) -> None:
        self.live, self.browser = live, browser
        self.sessions: dict[str, list] = {}
        self.keys = {slug: live.api_key(slug) for slug in ORGANIZATIONS}

    def call(self, slug: str, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.keys[slug]}", "Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(self.live.url + path, data, headers), timeout=120
        ) as response:
            return json.load(response)

    def clip(self, slug: str, prompt: str) -> str:
        return self.call(slug, "/v1/videos", {"model": "pocket-video", "prompt": prompt})["id"]

    @contextmanager
    def page(self, email: str, *, theme: str = "light", size: Size = DESK) -> Iterator[Page]:
        """A page of a signed-in person, or of nobody for an empty address."""
        context = self.browser.new_context(base_url=self.live.url, color_scheme=theme, viewport=size.viewport)
        context.set_default_timeout(60_000)
        page = context.new_page()
        if email in self.sessions:  # the code of a second step counts once
            context.add_cookies(self.sessions[email])
            page.goto("/")
        elif email:
            self._sign_in(page, email)
            self.sessions[email] = context.cookies()
        yield page
        context.close()

    def _sign_in(self, page: Page, email: str) -> None:
        row = self.live.sign_ins[email]
        page.goto("/accounts/login/")
        page.locator("input[name=login]").fill(email)
        page.locator("input[name=password]").fill(row.password)
        page.locator("form:has(input[name=password]) [type=submit]").click()
        if row.totp_secret:
            page.wait_for_url("**/accounts/2fa/authenticate/**")
            second_step(page, row.totp_secret)
        page.wait_for_url(lambda url: "/accounts/" not in url)


def patiently(done) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise SystemExit("screens: something was not finished in time")
        time.sleep(0.5)


def ask_for_a_clip(page: Page, prompt: str = WATCHED) -> Locator:
    """Its card, from the studio that is open."""
    page.locator("#prompt").fill(prompt)
    page.get_by_role("button", name="Make the clip").click()
    card = page.locator("article.card", has_text=prompt).first
    card.wait_for()
    return card


def make_things(people: People) -> None:
    """The owner's clips, a completion and a purchase, by hand, so that they are theirs."""
    with people.page(OWNER) as page:
        for prompt in PROMPTS:
            ask_for_a_clip(page, prompt)
        patiently(lambda: page.locator("article.card video").count() >= len(PROMPTS))
        page.goto("/code/")
        page.locator("#prompt").fill(CODE)
        page.get_by_role("button", name="Write on").click()
        patiently(lambda: page.locator(".answer .panel-foot", has_text="tokens read").count())
        page.goto("/credits/")
        page.get_by_role("button", name="Buy for $10.00").click()
        page.get_by_role("button", name="Pay $10.00").click()
        page.get_by_text("1,000 credits arrived").wait_for()


def fill_the_lanes(people: People) -> None:
    """A backlog in every lane, and a weight that an operator raised for it."""
    for number in range(BACKLOG):
        for slug in ORGANIZATIONS:
            people.clip(slug, PROMPTS[number % len(PROMPTS)])
    with people.page(OPERATOR) as page:
        page.goto("/operate/lanes/?edit=clips-plus")
        page.locator("#value").fill("4")
        page.locator("#lane-preview figure").first.wait_for()
        page.locator("#reason").fill("Free-tier rush: Plus waits longer than a minute")
        page.locator("#expires").select_option("60")
        page.get_by_role("button", name="Apply the change").click()
        page.locator(".messages").wait_for()
