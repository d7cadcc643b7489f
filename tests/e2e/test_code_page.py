"""The page Code: highlighted as it is typed and as it comes, swapped into place, stopped, cut to what is valid."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.patience import until

pytestmark = pytest.mark.e2e

OWNER = "plus-owner@demo.backlot.local"
LONG = "names = ['alpha', 'beta', 'gamma', "
ENDED = re.compile(r"\d+ tokens read")
ANSWER_MS = 120_000


def write(page: Page, text: str, length: str = "192") -> None:
    page.goto("/code/")
    page.locator("#prompt").fill(text)
    page.get_by_label(f"{length} tokens").check(force=True)
    page.locator("#prompt").press("Control+Enter")
    page.wait_for_url(re.compile(r"/code/cmpl[-_][0-9a-f]{32}/"))


def test_code_is_highlighted_in_the_editor_and_in_the_answer(page, sign_in):
    sign_in(page, OWNER)
    write(page, "def mean(values):\n    # of a list\n    return ", "32")
    assert page.locator(".editor .token.keyword").all_inner_texts() == ["def", "return"]
    assert page.locator(".editor .token.comment").inner_text() == "# of a list"
    page.get_by_text(ENDED).wait_for(timeout=ANSWER_MS)
    coloured = page.evaluate(
        "[...CSS.highlights.get('code-keyword')].map((r) => {"
        " const range = new Range(); range.setStart(r.startContainer, r.startOffset);"
        " range.setEnd(r.endContainer, r.endOffset); return range.toString(); })"
    )
    assert coloured[:2] == ["def", "return"]


def test_an_answer_comes_into_its_place_without_leaving_the_page(page, sign_in):
    sign_in(page, OWNER)
    page.goto("/code/")
    page.evaluate("window.stayed = true")
    page.locator("#prompt").fill(LONG)
    page.get_by_role("button", name="Write on").click()
    page.get_by_text(ENDED).wait_for(timeout=ANSWER_MS)
    assert page.evaluate("window.stayed") is True
    expect(page.locator("#prompt")).to_have_value(LONG)
    expect(page.locator(".answer .panel-foot")).to_contain_text(re.compile(r"\d+ written.* credits? charged"))
    expect(page.locator(".recent tr").first).to_contain_text("tokens")
    page.get_by_role("button", name="Go on from here").click()
    assert page.locator("#prompt").input_value() == page.locator("#answer-text").text_content()


def test_an_answer_is_stopped_and_what_was_delivered_is_charged(page, sign_in):
    sign_in(page, OWNER)
    write(page, LONG)
    until(page, "document.querySelector('[data-text]')?.textContent.length > 0")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".answer .badge")).to_have_text(re.compile("Cancelled|Delivered"), timeout=ANSWER_MS)
    expect(page.locator(".answer .panel-foot")).to_contain_text(re.compile(r"charged"))


def test_the_valid_part_is_chosen_and_left_again(page, sign_in):
    sign_in(page, OWNER)
    write(page, "total = sum([1, 2, 3])\nnames = ['alpha', ", "32")
    page.get_by_text(ENDED).wait_for(timeout=ANSWER_MS)
    whole = page.locator("#answer-text").text_content()
    page.get_by_role("link", name="Valid part").click()
    expect(page.locator(".left-out")).to_be_visible()
    assert whole.startswith(page.locator("#answer-text .given").text_content())
    page.get_by_role("link", name="All", exact=True).first.click()
    expect(page.locator(".left-out")).to_have_count(0)
    assert page.locator("#answer-text").text_content() == whole


def test_what_is_refused_stays_in_the_editor_with_the_reason_above_it(live, browser, sign_in):
    page = browser.new_context(base_url=live.url).new_page()  # the browser logs the refusal's status
    sign_in(page, OWNER)
    page.goto("/code/")
    text = "x = 1\n" * 600
    page.locator("#prompt").fill(text)
    page.get_by_role("button", name="Write on").click()
    expect(page.locator("#code-refusal")).to_contain_text("tokens")
    assert page.locator("#prompt").input_value() == text
    page.context.close()
