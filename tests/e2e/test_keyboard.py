"""The three main tasks with the keyboard alone: make a clip, read a charge, change a lane's weight. No pointer, no goto
but the first; every step is a key that a person can press, and the focus is seen wherever it lands."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e

OWNER, OPERATOR = "plus-owner@demo.backlot.local", "operator@demo.backlot.local"
PROMPT = "a yellow star bouncing over the snow"
MOST_TABS = 90
CLIP_MS = 180_000
FOCUS = """() => {
  const at = document.activeElement, seen = at.matches(".chip input") ? at.nextElementSibling : at;
  const drawn = at.closest(".editor") ?? seen, style = getComputedStyle(drawn);
  return { text: (at.getAttribute("aria-label") || at.innerText || "").trim(), id: at.id, tag: at.tagName,
           drawn: style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2 };
}"""


def tab_to(page: Page, wanted: str, key: str = "Tab") -> None:
    """Press Tab until the focus is on what is called so, by its words or its id; it is drawn on every stop."""
    passed = []
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        at = page.evaluate(FOCUS)
        if at["tag"] == "BODY":  # round the end of the page
            continue
        assert at["drawn"], f"no focus is seen on {at}"
        passed.append(at["id"] or at["text"][:30])
        if re.fullmatch(wanted, at["id"]) or re.search(wanted, at["text"]):
            return
    pytest.fail(f"{wanted} was not reached by {key}: {passed}")


def by_palette(page: Page, words: str, address: str) -> None:
    """Ctrl+K, a word or two, Enter."""
    page.locator("html.scripted").wait_for()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search pages, actions and work")).to_be_focused()
    page.get_by_role("option").first.wait_for()
    page.keyboard.type(words)
    expect(page.get_by_role("option", selected=True)).to_contain_text(re.compile(words, re.IGNORECASE))
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: urlsplit(url).path == address)


def test_a_clip_is_made_and_its_charge_read_with_the_keyboard_alone(page, sign_in):
    sign_in(page, OWNER)
    by_palette(page, "usage", "/usage/")
    by_palette(page, "make a clip", "/")
    tab_to(page, "prompt")
    page.keyboard.type(PROMPT)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#announcer")).to_have_text("The clip is queued.")
    card = page.locator("article.card", has_text=PROMPT).first
    card.locator("video").wait_for(timeout=CLIP_MS)

    by_palette(page, "explain a charge", "/statement/")
    page.keyboard.press("j")
    first = page.evaluate(FOCUS)
    assert first["drawn"]
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/statement/\d+/"))
    expect(page.get_by_role("heading", name="The chain")).to_be_visible()
    expect(page.get_by_text("Why this was charged")).to_be_visible()
    tab_to(page, "The whole decision")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Why this was allowed")).to_be_visible()


def test_a_lanes_weight_is_changed_and_put_back_with_the_keyboard_alone(page, sign_in):
    sign_in(page, OPERATOR)
    by_palette(page, "change a lane", "/operate/lanes/")
    expect(page.locator("[data-live]")).to_have_text("live")
    tab_to(page, "Change the weight of clips-plus")
    page.wait_for_timeout(2_500)  # the table is drawn anew meanwhile, and the focus stays
    assert page.evaluate(FOCUS)["text"] == "Change the weight of clips-plus"
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "edit=clips-plus" in url)
    expect(page.locator("#value")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    expect(page.locator("#lane-preview")).to_contain_text("goes from weight 2 to 3")
    tab_to(page, "reason")
    page.keyboard.type("By hand, without a pointer")
    tab_to(page, "expires")
    page.keyboard.press("ArrowDown")
    tab_to(page, "Apply the change")
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("clips-plus went from weight 2 to 3")
    tab_to(page, "Undo")
    page.keyboard.press("Enter")
    tab_to(page, r"why-\d+")
    page.keyboard.type("put back")
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("clips-plus is back at weight 2")


def test_the_palette_is_walked_with_arrows_and_left_with_escape(page, sign_in):
    sign_in(page, OWNER)
    before = page.url
    page.locator("html.scripted").wait_for()
    page.keyboard.press("Control+k")
    options = page.get_by_role("option")
    options.first.wait_for()
    chosen = page.get_by_role("option", selected=True)
    assert chosen.inner_text() == options.first.inner_text()
    page.keyboard.press("ArrowDown")
    assert chosen.inner_text() == options.nth(1).inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert chosen.inner_text() == options.last.inner_text()
    page.keyboard.type("nothing is called so")
    expect(page.get_by_text("Nothing has these words")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.palette")).to_be_hidden()
    assert page.url == before
    page.keyboard.press("Control+k")
    options.first.wait_for()
    page.keyboard.press("Control+k")
    expect(page.locator("dialog.palette")).to_be_hidden()


def test_who_comes_with_tab_passes_through_the_editor_and_who_writes_leaves_by_escape(page, sign_in):
    sign_in(page, OWNER)
    by_palette(page, "write code", "/code/")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") != "prompt"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("if ready:")
    page.keyboard.press("Enter")
    page.keyboard.type("go()")
    assert page.locator("#prompt").input_value() == "if ready:\n    go()"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "prompt"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") != "prompt"
