"""A pool behind a vLLM server: its lanes, its model, and a station that works for it without torch's help."""

from pathlib import Path

from generation.models import Lane, Pool, RegisteredModel
from generation.worker.station import Station
from tests.generation.rollout_stage import serve

FOLDER = Path(__file__).resolve().parents[2] / "generation/weights/pocket-code"
NAME = "coder"


def coder(url: str, **options) -> RegisteredModel:
    """An active model of a pool of its own, served at `url`."""
    pool = Pool.objects.create(slug=NAME, kind="code", machine="a server", metrics_url=f"{url}/metrics")
    for lane in Lane.objects.filter(pool="code"):
        Lane.objects.create(
            slug=lane.slug.replace("code-", f"{NAME}-"),
            pool=pool,
            tier=lane.tier,
            weight=lane.weight,
            max_running=lane.max_running,
        )
    facts = {"context": 512, "engine": "vllm"}
    facts["options"] = {"url": url, "model": "pocket-code", "patience_s": 0.5, "connect_s": 1.0} | options
    row = RegisteredModel.objects.create(
        name=NAME,
        revision="test-1",
        kind="code",
        pool=pool,
        folder=str(FOLDER),
        precision="bf16",
        facts=facts,
        gpu_ms_per_step=5,
    )
    return serve(row)


def station() -> Station:
    return Station(Pool.objects.get(pk=NAME), slots=2)
