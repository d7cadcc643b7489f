"""Accelerator time per unit, fitted from finished work; the error of the quotes; a fit kept as a dated row."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts import staff
from accounts.models import AuditEntry
from billing.models import UnitCalibration
from generation import admission, registry
from generation.policy import cost
from generation.policy.calibration import Finished, fit, quantile
from generation.scheduling import calibration
from tests.generation.api_stage import tenant
from tests.generation.queueing import CLIP, caller, submit, submit_code

UNIT = 1_000_000


def test_an_exact_relation_is_found_without_error():
    found = fit([Finished(units * UNIT, units * 1440) for units in range(1, 11)])
    assert (found.gpu_ms_per_unit, found.attempts, found.error_median, found.error_p90) == (1440, 10, 0, 0)


def test_one_outlier_moves_the_tail_and_not_the_figure():
    finished = [Finished(10 * UNIT, 10_000)] * 9 + [Finished(10 * UNIT, 100_000)]
    found = fit(finished)
    assert (found.gpu_ms_per_unit, found.error_median) == (1000, 0)
    assert found.error_p90 == pytest.approx(0.09)


def test_too_few_tell_nothing_and_what_took_no_time_is_no_sample():
    assert fit([Finished(UNIT, 1000)] * 4) is None
    assert fit([Finished(UNIT, 1000)] * 4 + [Finished(UNIT, 0)] * 9) is None


def test_quantiles_lie_straight_between_neighbours():
    assert [quantile([4, 1, 3, 2], share) for share in (0, 0.5, 1)] == [1, 2.5, 4]


@given(st.lists(st.builds(Finished, st.integers(1, 10**9), st.integers(1, 10**8)), min_size=5, max_size=40))
def test_half_of_the_jobs_took_more_and_half_less(finished):
    found = fit(finished)
    above = sum(one.gpu_ms * UNIT / one.units_micro > found.gpu_ms_per_unit for one in finished)
    below = sum(one.gpu_ms * UNIT / one.units_micro < found.gpu_ms_per_unit for one in finished)
    assert max(above, below) <= len(finished) / 2
    assert 0 <= found.error_median <= found.error_p90


@given(st.integers(1, 10**12), st.floats(1e-3, 1e6))
def test_the_estimate_is_units_times_what_one_takes(units_micro, ms_per_unit):
    estimate = cost.calibrated_gpu_ms(units_micro, ms_per_unit)
    assert estimate >= 1
    assert abs(estimate - max(1, units_micro * ms_per_unit / UNIT)) <= 0.5 + estimate * 1e-12


@pytest.mark.django_db
class TestSchedule:
    """The schedule expects what the newest calibration of the model says; price and quote stay."""

    def calibrated(self, model: str, ms: float, days_ago: float, rule: str = cost.RULE_VERSION) -> None:
        UnitCalibration.objects.create(
            model=model,
            rule_version=rule,
            gpu_ms_per_unit=ms,
            attempts=9,
            error_median=0,
            error_p90=0,
            effective_from=timezone.now() - timedelta(days=days_ago),
            author="test",
            reason="test",
        )

    def test_before_the_first_the_registered_figures_count(self):
        model, job = registry.find("pocket-video", "clip"), submit(tenant("plus"))
        assert job.estimate_gpu_ms == model.gpu_ms_fixed + 50 * model.gpu_ms_per_step

    def test_the_newest_of_this_revision_and_of_these_rules_counts(self):
        model, plus = str(registry.find("pocket-video", "clip")), tenant("plus")
        before = submit(plus)
        self.calibrated(model, 900, days_ago=2)
        self.calibrated(model, 1234.4, days_ago=1)
        self.calibrated(model, 1, days_ago=-1)
        self.calibrated(model, 2, days_ago=0.5, rule="units-0")
        self.calibrated("pocket-video@another", 3, days_ago=0.1)
        after = submit(plus)
        assert after.estimate_gpu_ms == 1234  # the clip is the least there is: one unit
        assert admission.quote_clip(caller(plus), CLIP)["gpu_ms"] == 1234
        assert (after.units_micro, after.quote_micro) == (before.units_micro, before.quote_micro)

    def test_code_by_tokens_in_and_asked_for(self):
        plus = tenant("plus")
        self.calibrated(str(registry.find("pocket-code", "code")), 10_000, days_ago=1)
        job = submit_code(plus)
        assert job.estimate_gpu_ms == round(job.units_micro * 10_000 / UNIT)


@pytest.mark.django_db
class TestCommand:
    def run(self, monkeypatch, *arguments: str) -> str:
        told = fit([Finished(units * UNIT, units * 1440) for units in range(1, 11)])
        monkeypatch.setattr(calibration, "fits", lambda since: {"pocket-video@r1": (told, told)})
        printed = io.StringIO()
        call_command("calibrate", *arguments, stdout=printed)
        return printed.getvalue()

    def test_says_so_where_nothing_has_finished(self):
        printed = io.StringIO()
        call_command("calibrate", stdout=printed)
        assert printed.getvalue() == "No finished jobs to learn from.\n"

    def test_reports_and_keeps_nothing_by_itself(self, monkeypatch):
        printed = self.run(monkeypatch)
        assert "pocket-video@r1: 1.44 GPU-seconds per unit from 10 jobs" in printed
        assert "median 0.0%, p90 0.0%" in printed
        assert not UnitCalibration.objects.exists()

    def test_keeps_a_row_by_an_action(self, monkeypatch, django_user_model):
        operator = django_user_model.objects.create_user("operator@example.com", "x")
        with pytest.raises(CommandError):
            self.run(monkeypatch, "--write")
        staff.grant(operator, "operator", by="test", reason="test")
        self.run(monkeypatch, "--write", "--by", "operator@example.com", "--reason", "new hardware")
        kept = calibration.in_force("pocket-video@r1", timezone.now() + timedelta(seconds=1))
        assert (kept.gpu_ms_per_unit, kept.attempts, kept.rule_version) == (1440, 10, "units-1")
        assert AuditEntry.objects.filter(action="units.calibrate", target="model:pocket-video@r1").exists()
