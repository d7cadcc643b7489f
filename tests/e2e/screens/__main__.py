"""The command: everything of `test_every_page.py`, the pages behind its rows, and what opens over a page."""

import sys

from tests import servers

servers.prepare()

import django  # noqa: E402

django.setup()

from playwright.sync_api import sync_playwright  # noqa: E402

from tests.e2e.conftest import CHROMIUM, FLAGS  # noqa: E402
from tests.e2e.screens import pictures, stage  # noqa: E402
from tests.e2e.test_every_page import PEOPLE  # noqa: E402
from tests.live import Live  # noqa: E402

# The first row of a list, whose page is pictured too: the list, the links of its rows, the name of the picture.
BEHIND = {
    stage.OWNER: (
        ("/", "article.card .card-prompt", "job"),
        ("/code/", "a[data-row]", "code-answer"),
        ("/statement/?show=charges", "a[data-row]", "statement-line"),
        ("/statement/?show=charges", "td.for a.linked:last-of-type", "decision"),
        ("/webhooks/", "a[data-row]", "webhook"),
    ),
    stage.OPERATOR: (
        ("/operate/jobs/", "a[data-row]", "operate-job"),
        ("/operate/incidents/", "a[data-row]", "operate-incident"),
        ("/operate/runbooks/", ".main a[href^='/operate/runbooks/']", "operate-runbook"),
    ),
    "billing-admin@demo.backlot.local": (
        ("/staff/billing/organizations/plus-demo/lines/", "a[data-row]", "billing-line"),
        ("/staff/billing/promotions/", "a[data-row]", "billing-promotion"),
    ),
    "safety@demo.backlot.local": (
        ("/staff/safety/incidents/", "a[data-row]", "safety-incident"),
        ("/staff/safety/review/", "a[data-row]", "safety-review-item"),
    ),
}


def main(only: str) -> None:
    """All pictures, or those whose name has `only` in it."""
    with Live() as live, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        people = stage.People(live, browser)
        stage.make_things(people)
        pictures.of_a_clip_being_made(people, only)
        stage.fill_the_lanes(people)
        for email, addresses in PEOPLE.items():
            with people.page(email) as page:
                for address in addresses:
                    pictures.of_address(page, address, pictures.named(address), only)
                for listed, rows, name in BEHIND.get(email, ()):
                    pictures.of_first_row(page, listed, rows, name, only)
                if email == stage.OWNER:
                    pictures.of_the_palette(page, only)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
