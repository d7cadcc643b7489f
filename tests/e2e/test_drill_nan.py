"""The NaN drill: clips that are not finite, seen within 60 s; a rule is added live and their prompt is refused."""

import pytest
from playwright.sync_api import expect

from tests.e2e.drills import LOADED_MS, SAFETY, Drill, acknowledge, apply, look, open_incident
from tests.faults.clip_workers import ClipWorkers

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PROMPT = "a red ball rolling over a purple meadow, {}"
PATTERN = r"purple\s+meadow"
POISONED = ("tests.faults.poisoned_worker",)
NOT_FINITE = """
SELECT count(*), extract(epoch FROM max(at)) FROM accounts_operationalevent
 WHERE kind = 'clip.not_finite' AND at >= to_timestamp(%s)
"""


def test_a_nan_storm_is_seen_and_its_prompts_are_refused(live, new_page, sign_in):
    page = new_page(width=1440)
    with Drill(live, "plus-demo") as drill:
        workers = ClipWorkers(drill.service)
        try:
            began = drill.now()
            workers.start(POISONED, POISON_STEP="3")
            for n in range(3):
                clip = drill.service.finished(drill.clip(prompt=PROMPT.format(n)))
                assert clip["error"]["code"] == "not_finite"
                assert clip["backlot"]["charge_micro"] == 0
            number = drill.incident("not_finite", began)
            count, last = drill.service.row(NOT_FINITE, began)
            assert count == 3
            assert drill.fired_at(number) - float(last) < 60

            sign_in(page, SAFETY)
            open_incident(page, number)
            acknowledge(page)
            look(page, "Add a hard rule", pattern=PATTERN)
            apply(page, "these prompts blow up", "240")
            expect(page.locator(".timeline")).to_contain_text("Action run from here", timeout=LOADED_MS)
            drill.until(lambda: drill.refused(PROMPT.format(9)) is not None, "the prompt is refused", 30)
        finally:
            workers.stop()
