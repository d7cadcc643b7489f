"""Measuring delivered clips: read from their files, once each, and nothing of what is withheld or gone."""

import json

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import ProgrammingError, transaction

from generation.evaluation import coherence, online
from generation.evaluation.case_records import OnlineMeasure
from generation.models import Asset
from tests.generation.review_stage import delivered, review_folders
from tests.safety.clips import shape_world

__all__ = ["review_folders"]  # a fixture
pytestmark = pytest.mark.django_db


def test_a_delivered_clip_is_measured_once_and_one_whose_file_is_gone_is_counted_as_skipped(
    review_folders, capsys
):
    job, gone = delivered(review_folders, seed=1), delivered(review_folders, seed=2)
    default_storage.delete(Asset.objects.get(job=gone, role="video").path)
    call_command("evals", "online", "--n=5")
    assert json.loads(capsys.readouterr().out) == {"measured": 1, "skipped": 1}
    row = OnlineMeasure.objects.get()
    assert row.job_id == job.pk
    # Encoding changes a clip a little; what is measured is what was delivered.
    assert row.warp_error == pytest.approx(coherence.warp_error(shape_world(16, seed=1)), abs=0.02)
    Asset.objects.filter(job=gone, role="video").update(withheld_at=job.finished_at)
    assert online.measure(5, lambda done, of: None) == online.Measured(0, 0)
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        OnlineMeasure.objects.update(warp_error=0.0)
