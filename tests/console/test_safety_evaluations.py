"""The pages of evaluations: runs beside the one before, labels that calibrate the threshold, and the online bridge."""

import uuid
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry
from generation.evaluation import labels as evaluation_labels
from generation.evaluation import online
from generation.evaluation.case_records import (
    CoherenceThreshold,
    EvaluationCase,
    EvaluationRun,
    OnlineMeasure,
)
from generation.models import Job, RegisteredModel
from tests.console.people import operator, person, signed_in, with_second_factor
from tests.generation.api_stage import media_folder, tenant
from tests.generation.queueing import submit
from tests.generation.review_stage import reviewer

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
PAGE, LABELS = "/staff/safety/evaluations/", "/staff/safety/evaluations/label/"


def desk() -> tuple[Client, object]:
    user = reviewer()
    return with_second_factor(signed_in(user), user), user


def html(response) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def run_of(alignment: float, **fields) -> EvaluationRun:
    values = {"suite": "weekly", "model": RegisteredModel.objects.get(name="pocket-video"), "seed": 1}
    values |= {"figures": {"alignment": alignment, "violations": 0, "legibility": None}, "judge": "j"}
    values |= {"state": "passed", "code_version": "t", "author": "t", "finished_at": timezone.now()}
    return EvaluationRun.objects.create(**values | fields)


def clip_of(run: EvaluationRun, number: int, warp_error: float) -> EvaluationCase:
    path = default_storage.save(f"evaluations/{uuid.uuid4().hex}.mp4", ContentFile(b"a film"))
    return EvaluationCase.objects.create(
        run=run,
        number=number,
        part="golden",
        prompt="a red ball rolling left over grass",
        must_block=False,
        done_at=timezone.now(),
        ended="delivered",
        credentials="Trusted",
        warp_error=warp_error,
        path=path,
    )


@pytest.mark.parametrize("page", [PAGE, LABELS])
def test_each_page_is_for_trust_and_safety_and_teaches_when_it_is_empty(page):
    shown = html(desk()[0].get(page))
    assert 'class="empty"' in shown
    assert operator()[0].get(page).status_code == 403
    assert person()[0].get(page).status_code == 403


def test_a_run_stands_beside_the_one_before_with_its_chart_in_a_bounded_number_of_queries():
    client, _ = desk()
    run_of(4.5)
    last = run_of(4.125)
    shown = html(client.get(PAGE))
    assert f"Run {last.pk}" in shown
    assert "4.125" in shown
    assert "4.5" in shown
    assert "not applicable" in shown
    assert 'id="evaluation-alignment-data"' in shown
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(PAGE)
    for place in range(6):
        clip_of(run_of(4.0), place, 0.01)
    with CaptureQueriesContext(connection) as many:
        client.get(PAGE)
    assert len(many) == len(few) <= 20


def test_a_clip_is_labelled_once_by_each_person_and_the_newest_word_counts():
    client, user = desk()
    run = run_of(4.0)
    older, newer = clip_of(run, 0, 0.01), clip_of(run, 1, 0.09)
    assert f"{LABELS}{newer.pk}/clip.mp4" in html(client.get(LABELS))
    film = client.get(f"{LABELS}{newer.pk}/clip.mp4")
    assert b"".join(film.streaming_content) == b"a film"
    assert client.post(f"{LABELS}{newer.pk}", {"said": "coherent"}).status_code == 302
    assert f"{LABELS}{older.pk}/clip.mp4" in html(client.get(LABELS))
    evaluation_labels.label(newer.pk, user, False)
    assert evaluation_labels.errors_by_label() == ([], [0.09])
    client.post(f"{LABELS}{older.pk}", {"said": "what"})
    assert evaluation_labels.next_for(user) == older
    assert client.get(f"{LABELS}{newer.pk + 99}/clip.mp4").status_code == 404


def test_where_people_are_even_a_clip_counts_for_neither():
    case = clip_of(run_of(4.0), 0, 0.02)
    for said in (True, False):
        evaluation_labels.label(case.pk, reviewer(), said)
    assert evaluation_labels.errors_by_label() == ([], [])


def test_labels_calibrate_the_threshold_with_a_reason_a_record_and_a_way_back():
    client, user = desk()
    run = run_of(4.0)
    refused = client.post(f"{PAGE}calibrate", {"reason": "enough of them"})
    assert refused.status_code == 400
    assert "Label at least 5 of each first" in refused.content.decode()
    for number in range(10):
        case = clip_of(run, number, 0.01 * (number + 1))
        evaluation_labels.label(case.pk, user, number < 5)
    shown = html(client.get(PAGE))
    assert "above 0.0550 count as broken" in shown
    assert client.post(f"{PAGE}calibrate", {"reason": " "}).status_code == 400
    assert not CoherenceThreshold.objects.exists()
    assert client.post(f"{PAGE}calibrate", {"reason": "the first labels"}).status_code == 302
    first = CoherenceThreshold.objects.get()
    assert (first.value, first.balanced_accuracy) == (pytest.approx(0.055), 1.0)
    case = clip_of(run, 10, 0.02)
    evaluation_labels.label(case.pk, user, False)
    client.post(f"{PAGE}calibrate", {"reason": "one more"})
    entry = AuditEntry.objects.filter(action="evaluation.coherence_threshold").order_by("-id").first()
    assert client.post(f"{PAGE}changes/{entry.pk}/undo", {"reason": "a slip"}).status_code == 302
    assert evaluation_labels.in_force().value == first.value
    assert CoherenceThreshold.objects.count() == 3


class TestBridge:
    def measured(self, owner, prompt: str, alignment: float, error: float, days_ago: float) -> Job:
        job = submit(owner, prompt=prompt)
        at = timezone.now() - timedelta(days=days_ago)
        Job.objects.filter(pk=job.pk).update(created_at=at)
        OnlineMeasure.objects.create(job=job, alignment=alignment, warp_error=error)
        return job

    def test_requests_of_one_prompt_and_returns_are_counted(self):
        owner = tenant()
        self.measured(owner, "a red ball", 2.0, 0.03, 9)
        for seed in (2, 3):
            again = submit(owner, prompt="a red ball", seed=seed)
            Job.objects.filter(pk=again.pk).update(created_at=timezone.now() - timedelta(days=5))
        self.measured(tenant(), "a blue box", 5.0, 0.01, 20)
        self.measured(tenant(), "a new one", 5.0, 0.01, 2)
        (found,) = online.bridges(timezone.now())
        assert (found.regenerations.pairs, found.misaligned) == (3, 1)
        # The organization of two days ago still has five days to come back.
        assert (found.returns.pairs, found.returned) == (2, 1)
        assert "too few: 3 pairs" in html(desk()[0].get(PAGE))
