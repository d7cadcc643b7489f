"""What a job took, on its page and through the API: over all its attempts, and when each stage ran."""

import pytest

from generation import finalization
from generation.finalization import Ran
from generation.scheduling.leases import lease_of
from generation.stage_times import Span, stage_times
from tests.console.people import clip, operator, person
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit

pytestmark = pytest.mark.django_db
TRACE = [("encode_prompt", 0, 40), ("denoise", 40, 900), ("checkpoint", 900, 910), ("denoise", 915, 1000)]
RAN = Ran(
    gpu_ms=985,
    steps=12,
    checkpoints=1,
    stages={"encode_prompt": 0.04, "denoise": 0.945, "checkpoint": 0.01},
    trace=TRACE,
    device="cpu (AVX2)",
    precision="int8",
    peak_memory_bytes=600_000_000,
    checkpoint_bytes=20_000,
    file_bytes=3_000,
)


def handed_back_then_cancelled() -> None:
    finalization.hand_back(lease_of(claim(idle_worker())), RAN, "the worker is to drain")
    finalization.cancel_running(
        lease_of(claim(idle_worker())),
        Ran(steps=14, device="cpu (AVX2)", precision="int8", peak_memory_bytes=9, checkpoint_bytes=5_000),
    )


def test_sizes_are_summed_over_the_attempts_and_the_peak_is_the_highest():
    job = submit(tenant("free"))
    handed_back_then_cancelled()
    job.refresh_from_db()
    assert (job.checkpoint_bytes, job.file_bytes, job.peak_memory_bytes) == (25_000, 3_000, 600_000_000)
    assert (job.precision, job.steps_run, job.device) == ("int8", 14, "cpu (AVX2)")


def test_the_api_tells_each_attempt_with_its_trace(client):
    free = tenant("free")
    job = submit(free)
    handed_back_then_cancelled()
    shown = client.get(f"/api/jobs/{job.public_id}", headers=free.auth).json()
    assert shown["model_revision"] == job.model.revision
    assert (shown["checkpoint_bytes"], shown["peak_memory_bytes"]) == (25_000, 600_000_000)
    first, second = shown["attempts"]
    assert first["trace"][1] == {"stage": "denoise", "start_ms": 40, "end_ms": 900}
    assert (first["precision"], first["file_bytes"], second["trace"]) == ("int8", 3_000, [])
    assert (first["yield_ms"], first["preempt_reason"]) == (None, "")


def test_the_page_shows_when_each_stage_ran_and_what_it_took():
    browser, caller = person(tier="free")
    job = clip(caller)
    handed_back_then_cancelled()
    html = browser.get(f"/jobs/{job.public_id}/").content.decode()
    assert 'style="left: 4.00%; width: 86.00%"' in html
    assert "14 run of 30 asked" in html
    assert "600 MB" in html
    staff, _ = operator()
    assert "Most memory" in staff.get(f"/operate/jobs/{job.public_id}/").content.decode()


def test_stages_lie_on_an_axis_of_the_attempt_s_length():
    rows = stage_times(RAN.stages | {"sign": 0.0, "unheard_of": 0.5}, [*TRACE, ("sign", 1000, 1000)], 2000)
    assert [row.name for row in rows] == [
        "Read the prompt",
        "Denoise",
        "Checkpoints",
        "Sign and verify",
        "unheard_of",
    ]
    assert rows[1].spans == (Span(2.0, 43.0), Span(45.75, 4.25))
    assert rows[3].spans == (Span(50.0, 0.4),)  # too short to be seen otherwise
    assert [row.beside for row in rows] == [False, False, False, True, False]
    assert stage_times({}) == []
