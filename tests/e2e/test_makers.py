"""A person makes a clip and a completion in the browser, watches them being made, and reads what each cost and why."""

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.patience import until

pytestmark = pytest.mark.e2e

OWNER = "free-owner@demo.backlot.local"
PROMPT = "a red circle moving right on a white background"
# What one clip may take on a busy machine.
CLIP_MS = 180_000

# Every length that the answer has had on the page: one that is asked for now and then misses most of a quick answer.
# The seed is one whose answer goes on to its most tokens.
WATCH_IT_GROW = """() => {
  const seed = Object.assign(document.createElement("input"), {type: "hidden", name: "seed", value: "2"});
  document.getElementById("code-form").append(seed);
  window.lengths = [];
  new MutationObserver(() => {
    const length = document.querySelector(".writing [data-text]")?.textContent.length;
    if (length) window.lengths.push(length);
  }).observe(document.body, {childList: true, characterData: true, subtree: true});
}"""

PLAYING = "video => video.videoWidth === 64 && !video.paused && video.currentTime > 0.1"


def steps_seen(page: Page, until: str) -> list[int]:
    """The step counts that the newest card showed, in the order they came, until it matched `until`."""
    seen: list[int] = []
    end = time.monotonic() + CLIP_MS / 1000
    card = page.locator("article.card").first
    while time.monotonic() < end and not card.locator(until).count():
        found = re.search(r"denoising (\d+)/30", card.inner_text())
        if found and int(found[1]) not in seen:
            seen.append(int(found[1]))
        page.wait_for_timeout(50)
    return seen


def test_a_clip_is_made_step_by_step_played_and_its_charge_read(page, sign_in):
    sign_in(page, OWNER)
    expect(page.locator("#quote")).to_contain_text("credits")
    balance = page.locator("#balance").inner_text()
    page.locator("#prompt").fill(PROMPT)
    page.get_by_role("button", name="Make the clip").click()
    card = page.locator("article.card").first
    expect(card).to_contain_text(PROMPT, timeout=5_000)
    seen = steps_seen(page, "img, video")
    expect(card.locator("img")).to_have_js_property("naturalWidth", 64, timeout=20_000)
    seen += steps_seen(page, "video")
    assert seen == sorted(seen)
    assert len(seen) >= 3, f"only these steps were shown: {seen}"

    expect(card.get_by_text("Trusted")).to_be_visible()
    card.hover()
    until(page, f"({PLAYING})(document.querySelector('article.card video'))")
    expect(page.locator("#balance")).not_to_have_text(balance)

    page.reload()
    expect(page.locator("article.card video").first).to_be_visible()
    page.locator("article.card .card-prompt").first.click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    expect(page.get_by_text("30 of 30")).to_be_visible()
    expect(page.get_by_text("Charged 0.3 credits")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".mp4")
    page.get_by_role("link", name="The whole decision").click()
    expect(page.get_by_role("heading", name="Why this was allowed")).to_be_visible()
    expect(page.get_by_text("the included allowance", exact=False).first).to_be_visible()


def test_a_completion_streams_into_its_place_and_is_there_again_after_a_reload(page, sign_in):
    sign_in(page, OWNER)
    page.goto("/code/")
    page.evaluate(WATCH_IT_GROW)
    page.locator("#prompt").fill("names = ['alpha', 'beta', 'gamma', ")
    page.get_by_role("button", name="Write on").click()
    page.wait_for_url(re.compile(r"/code/cmpl[-_][0-9a-f]{32}/"))
    expect(page.get_by_text(re.compile(r"\d+ tokens read"))).to_be_visible(timeout=60_000)
    lengths = page.evaluate("window.lengths")
    assert len(set(lengths)) >= 3, f"the text did not grow: {lengths}"
    written = page.locator("#answer-text").text_content()
    expect(page.locator(".panel-foot")).to_contain_text(re.compile(r"\d+ written.* credits? charged"))
    page.reload()
    assert page.locator("#answer-text").text_content() == written


def test_a_waiting_or_running_clip_is_cancelled_from_its_card(page, sign_in):
    sign_in(page, OWNER)
    page.locator("#prompt").fill("a blue square rising over a green background")
    page.get_by_role("button", name="Make the clip").click()
    card = page.locator("article.card").first
    card.get_by_role("button", name=re.compile("^Cancel")).click()
    expect(page.locator("article.card").first).to_contain_text("Cancelled", timeout=30_000)


def test_everything_can_be_done_from_the_keyboard_and_the_focus_is_always_seen(page, live):
    page.goto("/accounts/login/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("input[name=login]").focus()
    page.keyboard.type(OWNER)
    page.keyboard.press("Tab")
    page.keyboard.type(live.sign_ins[OWNER].password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/accounts/login" not in url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the page
    for _ in range(12):
        page.keyboard.press("Tab")
        shown = page.evaluate(
            "(() => { const s = getComputedStyle(document.activeElement.matches('.chip input')"
            " ? document.activeElement.nextElementSibling : document.activeElement);"
            " return [document.activeElement.id, s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
        )
        assert shown[1] == "solid", f"no visible focus on {shown}"
        assert shown[2] >= 2, f"no visible focus on {shown}"
        if shown[0] == "prompt":
            break
    page.keyboard.type("a yellow triangle falling on a black background")
    page.keyboard.press("Control+Enter")
    card = page.locator("article.card").first
    expect(card).to_contain_text("a yellow triangle falling")
    expect(page.locator("#announcer")).to_have_text("The clip is queued.")


def test_the_studio_works_without_scripts(live, browser: Browser):
    context = browser.new_context(base_url=live.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill(OWNER)
    page.locator("input[name=password]").fill(live.sign_ins[OWNER].password)
    page.locator("form:has(input[name=password]) [type=submit]").click()
    page.locator("#prompt").fill("a green circle moving left on a white background")
    page.get_by_role("button", name="Make the clip").click()
    expect(page.locator("article.card").first).to_contain_text("a green circle moving left")
    page.locator("summary[aria-label^='You:']").click()
    page.get_by_role("button", name="Compact rows").click()
    assert page.locator("html").get_attribute("data-density") == "compact"
    context.close()
