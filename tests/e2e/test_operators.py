"""An operator sees both kinds of jobs, changes a lane's weight with a reason, reads its audit line and undoes it."""

import json
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.patience import until

pytestmark = pytest.mark.e2e

OPERATOR = "operator@demo.backlot.local"


def ask(live, path: str, **fields: object) -> dict:
    """A call of the public API as an organization's own program."""
    request = urllib.request.Request(
        f"{live.url}{path}",
        data=json.dumps(fields).encode(),
        headers={"Authorization": f"Bearer {live.api_key('plus-demo')}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def row(page: Page, pool: str, tier: str):
    """The row of a lane, found by the link that changes it."""
    return page.locator("tr", has=page.locator(f"a[aria-label='Change the weight of {pool}-{tier}']"))


def test_an_operator_sees_jobs_of_both_kinds_but_no_prompt(page, live, sign_in):
    prompt = "a purple square drifting over an orange background"
    clip = ask(live, "/v1/videos", prompt=prompt, model="pocket-video")
    ask(live, "/v1/completions", prompt="def f(x):\n", model="pocket-code", max_tokens=8)
    sign_in(page, OPERATOR)
    assert page.url.endswith("/operate/")
    for state in ("", "delivered"):
        page.goto(f"/operate/jobs/?state={state}")
        assert prompt not in page.content()
    expect(page.locator("table")).to_contain_text("code-plus")
    page.goto(f"/operate/jobs/{clip['id']}/")
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    assert prompt not in page.content()


def test_a_weight_is_changed_with_a_reason_seen_in_the_audit_and_undone(page, sign_in):
    sign_in(page, OPERATOR)
    page.goto("/operate/lanes/")
    expect(page.locator("[data-live]")).to_have_text("live")
    page.get_by_role("link", name="Change the weight of clips-plus").click()
    page.wait_for_url(lambda url: "clips-plus" in url)  # and its load: only then do scripts hear the typing
    page.locator("#value").fill("4")
    expect(page.locator("#lane-preview")).to_contain_text("goes from weight 2 to 4")
    page.get_by_role("button", name="Apply the change").click()
    expect(page.locator("#reason")).to_be_focused()  # no reason, no change
    page.locator("#reason").fill("Plus waits too long")
    page.locator("#expires").select_option("60")
    page.get_by_role("button", name="Apply the change").click()
    expect(page.locator(".messages")).to_contain_text("clips-plus went from weight 2 to 4")
    expect(row(page, "clips", "plus").locator("td").nth(1)).to_have_text("4")
    line = page.locator("tr", has_text="Plus waits too long")
    expect(line).to_contain_text(OPERATOR)
    line.locator("summary").click()
    line.locator("input[name=reason]").fill("calm again")
    line.get_by_role("button", name="Undo this change").click()
    expect(page.locator(".messages")).to_contain_text("clips-plus is back at weight 2")
    expect(row(page, "clips", "plus").locator("td").nth(1)).to_have_text("2")
    expect(page.locator("tr", has_text="calm again")).to_be_visible()


def test_the_queue_wait_is_drawn_and_follows_the_theme(page, live, sign_in):
    ask(live, "/v1/completions", prompt="def g(x):\n", model="pocket-code", max_tokens=8)
    sign_in(page, OPERATOR)
    page.goto("/operate/lanes/")
    expect(page.locator(".plot .main-svg").first).to_be_visible(timeout=15_000)
    assert page.locator(".chart", has_text="Code").locator(".tier").count() >= 1
    ink = page.locator(".plot .xtick text").first.evaluate("text => getComputedStyle(text).fill")
    page.get_by_role("button", name="Use the dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    until(page, f"getComputedStyle(document.querySelector('.plot .xtick text')).fill !== {json.dumps(ink)}")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
