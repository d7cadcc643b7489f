"""What holds for every page: it fits a phone, text can be read in both themes, controls have names, and it is light."""

import gzip
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

MAKERS = (
    "/",
    "/code/",
    "/library/",
    "/library/?q=nothing+of+the+kind&state=delivered&order=oldest",
    "/history/",
    "/usage/?range=30d",
    "/statement/",
    "/statement/refused/",
    "/spending/",
    "/budgets/",
    "/notices/",
    "/credits/",
    "/invoices/",
    "/keys/",
    "/webhooks/",
    "/members/",
    "/audit/",
    "/accounts/2fa/",
    "/search",
    "/search?q=budget",
    "/styleguide",
)
OPERATORS = (
    "/operate/",
    "/operate/?range=24h&tier=plus&compare=week",
    "/operate/overview/wait/",
    "/operate/jobs/",
    "/operate/jobs/?did=ended",
    "/operate/alarms/",
    "/operate/alarms/not_finite/",
    "/operate/alarms/plus_starvation/?field=threshold&value=90",
    "/operate/incidents/",
    "/operate/incidents/?hour=250",
    "/operate/alarms/plus_starvation/?do=lane_weight",
    "/operate/runbooks/",
    "/operate/runbooks/not_finite/",
    "/operate/runbooks/plus_starvation/?do=lane_weight",
    "/operate/runbooks/retries/?do=pause_pool",
    "/operate/runbooks/bypass/?do=suspend_faces",
    "/operate/changes/",
    "/operate/lanes/",
    "/operate/lanes/?edit=clips-plus",
    "/operate/lanes/?edit=clips-plus&field=max_running&value=4",
    "/operate/scheduling/",
    "/operate/scheduling/?kind=pool&slug=clips&field=preempt_after_s&value=30",
    "/operate/workers/",
    "/operate/models/",
    "/operate/models/?change=quarantine&model=1",
    "/operate/costs/",
    "/operate/costs/?rate=40&p99=60&hits=0&range=7d",
    "/operate/files/",
    "/operate/files/?tier=plus&days=14",
)
BILLING_ADMINS = (
    "/staff/billing/",
    "/staff/billing/?q=pro-demo",
    "/staff/billing/organizations/pro-demo/",
    "/staff/billing/organizations/pro-demo/lines/",
    "/staff/billing/organizations/pro-demo/credits/grant/",
    "/staff/billing/organizations/pro-demo/credits/adjust/",
    "/staff/billing/organizations/enterprise-demo/contract/",
    "/staff/billing/prices/",
    "/staff/billing/promotions/",
    "/staff/billing/revenue/",
    "/staff/billing/revenue/lines/",
    "/staff/billing/settings/",
    "/staff/tiers/",
    "/staff/tiers/plus-demo/",
    "/staff/access/",
    "/staff/approvals/",
    "/staff/audit/",
)
SAFETY = (
    "/staff/safety/text/",
    "/staff/safety/text/?range=1h&category=violence&stage=rules",
    "/staff/safety/policy/",
    "/staff/safety/policy/?change=threshold:violence&field=block_score&value=0.5",
    "/staff/safety/policy/?change=new_rule&pattern=%5Cbred%5Cb&category=violence&kinds=clip",
    "/staff/safety/review/",
    "/staff/safety/pulls/",
    "/staff/safety/pulls/?since=2026-01-01T00:00&until=2026-01-02T00:00&class=violence",
    "/staff/safety/withdrawals/",
    "/staff/safety/reviewers/",
    "/staff/safety/reviewers/?row=limits&field=reveals_per_day&value=40",
    "/staff/safety/incidents/",
    "/staff/safety/evaluations/",
    "/staff/safety/evaluations/label/",
    "/staff/safety/provenance/",
    "/staff/safety/provenance/?source=development",
    "/operate/runbooks/bypass/?do=suspend_faces",
    "/operate/runbooks/bypass/?do=pull_window",
    "/operate/runbooks/unsafe_delivery/?do=delete_clips",
)
ENTRANCES = (
    *("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/report", "/verify"),
    *("/docs/api/", "/docs/api/videos/", "/docs/api/keys/", "/docs/api/responses/"),
)
PEOPLE = {
    "plus-owner@demo.backlot.local": MAKERS,
    "operator@demo.backlot.local": OPERATORS,
    "billing-admin@demo.backlot.local": BILLING_ADMINS,
    "safety@demo.backlot.local": SAFETY,
    "": ENTRANCES,
}

CHECKS = "() =>" + (Path(__file__).parent / "page_checks.js").read_text().partition("() =>")[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("email", PEOPLE)
def test_pages_fit_and_can_be_read_and_named(new_page, sign_in, theme, width, email):
    page = new_page(theme=theme, width=width)
    if email:
        sign_in(page, email)
    faults = []
    for address in PEOPLE[email]:
        page.goto(address)
        faults += [f"{address}: {fault}" for fault in page.evaluate(CHECKS)]
    assert faults == []


def test_the_contrast_check_finds_what_can_not_be_read(new_page):
    page = new_page()
    page.goto("/accounts/login/")
    page.evaluate("document.querySelector('.lead').style.color = '#c9c9c9'")
    (fault,) = page.evaluate(CHECKS)
    assert fault.startswith("contrast 1.")


def test_an_address_that_leads_nowhere_says_so_and_leads_back(live, browser):
    page = browser.new_context(base_url=live.url).new_page()
    response = page.goto("/no/such/page")
    assert response.status == 404
    assert page.get_by_role("heading", level=1).inner_text() == "There is nothing here"
    assert page.get_by_role("link", name="Go to your first page").get_attribute("href") == "/"
    page.context.close()


def test_pages_are_light_and_plotly_comes_only_where_a_chart_is(new_page, sign_in):
    page = new_page()
    received: dict[str, int] = {}
    page.on("requestfinished", lambda request: received.update({request.url: packed(request)}))
    sign_in(page, "plus-owner@demo.backlot.local")
    received.clear()
    page.goto("/")
    page.wait_for_load_state("networkidle")
    assert not [url for url in received if "plotly" in url]
    assert (
        sum(size for url, size in received.items() if "/jobs/" not in url and "/media/" not in url) < 100_000
    )


def packed(request) -> int:
    """The bytes of an answer as a compressing server sends them; streams and redirects have none."""
    response = request.response()
    if response is None or not response.ok or "event-stream" in response.headers.get("content-type", ""):
        return 0
    return len(gzip.compress(response.body()))
