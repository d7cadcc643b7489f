"""The free-rush drill: a rush, the alarm, its incident, Plus to weight 4 for two minutes, recovery, credits, times."""

import pytest
from playwright.sync_api import expect

from tests.e2e.drills import LOADED_MS, OPERATOR, Drill, acknowledge, apply, open_incident, resolve

pytestmark = [pytest.mark.e2e, pytest.mark.long]

FREE, PLUS = 8, 8
ALARM = "plus_starvation"
# Clips of the small model take seconds, so what is promised to Plus is seconds for this drill: a dated row, as prices.
PROMISED = """
INSERT INTO billing_slatarget (tier_id, model, max_seconds, target_s, credit_micro, effective_from, author, reason,
                               created_at)
VALUES ('plus', 'pocket-video', %s, %s, 20000000, clock_timestamp(), 'drill', 'a drill', clock_timestamp())
"""
CREDITED = "SELECT count(*), coalesce(sum(amount), 0) FROM billing_slacredit WHERE at >= to_timestamp(%s)"
WEIGHT = """
SELECT value::float FROM generation_laneoverride
 WHERE lane_id = 'clips-plus' AND field = 'weight' AND removed_at IS NULL AND expires_at > clock_timestamp()
"""


def test_a_free_rush_is_seen_met_and_over(live, new_page, sign_in):
    page = new_page(width=1440)
    with Drill(live, "plus-demo") as drill:
        drill.no_auto_raise("clips-plus")
        drill.alarm(ALARM, healthy=2, threshold=4, for_s=5, clear_s=5)
        drill.service.sql(PROMISED, 60, 2)
        began = drill.now()
        clips = rush(drill)
        number = drill.incident(ALARM, began)
        assert drill.now() - began < 120

        sign_in(page, OPERATOR)
        page.goto("/operate/incidents/")
        page.get_by_role("link", name="Plus starvation in clips").first.click()
        open_incident(page, number)
        acknowledge(page)
        page.keyboard.press("1")
        expect(page.locator("#do")).to_contain_text("goes from weight 2 to 4", timeout=LOADED_MS)
        apply(page, "a free rush starves Plus", "2")
        expect(page.locator(".timeline")).to_contain_text("Action run from here", timeout=LOADED_MS)
        assert drill.service.row(WEIGHT) == (4.0,)

        for clip in clips:  # recovery
            assert drill.service.finished(clip)["status"] == "completed"
        drill.until(lambda: drill.service.row(WEIGHT) is None, "the weight returns by itself")
        page.goto("/operate/lanes/")
        lane = page.locator("tr", has=page.locator("a[aria-label='Change the weight of clips-plus']"))
        expect(lane.locator("td").nth(1)).to_have_text("2", timeout=LOADED_MS)

        late, credited = drill.service.row(CREDITED, began)
        assert late > 0
        assert credited == late * 20_000_000
        # The alarm looks at the waits of five minutes: the drill's own thresholds end before those are over.
        drill.alarm(ALARM, threshold=900, healthy=600)
        resolve(page, drill, number, "Weight 4 for two minutes; nobody waits.")
        expect(page.locator(".timeline")).to_contain_text("Back by itself", timeout=LOADED_MS)
        expect(page.locator(".incident-cost")).to_contain_text("$", timeout=LOADED_MS)
        page.goto("/operate/incidents/")
        expect(page.locator("section", has_text="How long they took")).to_contain_text("Plus starvation")
        drill.service.sql(PROMISED, 60, 120)


def rush(drill: Drill) -> list[dict]:
    """More than the pool can make at once, of both tiers; the clips of Plus."""
    free = drill.of("free-demo")
    for n in range(FREE):
        drill.clip(free, prompt=f"a green ball rolling over grass, {n}")
    return [drill.clip(prompt=f"a red ball rolling over grass, {n}") for n in range(PLUS)]
