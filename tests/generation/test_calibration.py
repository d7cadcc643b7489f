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
from generation import calibration
from generation.policy.calibration import Finished, fit, quantile

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
