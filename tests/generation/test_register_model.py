"""Presets of large models: registered as candidates with their pool, and read by the engine as they are meant."""

import json

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry
from generation.engines import facts as folder_facts
from generation.models import Lane, Pool, RegisteredModel
from generation.revisions import model_facts
from generation.revisions.presets import PRESETS
from tests.generation import vllm_stage

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:8100"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    return tmp_path


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_every_preset_says_what_the_registry_and_the_engine_can_read(preset):
    options = {"options": {"url": URL, "model": preset.name}} if preset.facts.get("engine") else {}
    read = model_facts.read(preset.kind, preset.facts | options, preset.precision)
    assert read.precisions[0] == "bf16"
    if preset.kind == "clip":
        own = folder_facts.ModelFacts(
            **{key: tuple(one) if isinstance(one, list) else one for key, one in preset.in_folder.items()}
        )
        assert (own.sizes, own.seconds, own.fps, own.guidance) == (
            read.sizes,
            read.seconds,
            read.fps,
            read.guidance,
        )
        assert own.frames == read.fps * read.seconds[0]
        assert f"{own.width}x{own.height}" == read.sizes[0]


def test_a_clip_model_is_a_candidate_and_its_folder_says_what_the_engine_needs(folder, capsys):
    call_command("register_model", preset="wan-2.1-t2v-1.3b", folder=folder, revision="abc")
    row = RegisteredModel.objects.get(name="wan-2.1-t2v-1.3b")
    assert (row.status, row.revision, row.pool_id) == ("candidate", "abc", "clips")
    assert row.can.low_precision == "fp8"
    assert folder_facts.read(folder).max_sequence_length == 512
    assert AuditEntry.objects.get(action="model.register").after["preset"] == "wan-2.1-t2v-1.3b"
    assert "evals deploy" in capsys.readouterr().out


def test_what_a_folder_says_itself_stands(folder):
    (folder / "backlot.json").write_text(json.dumps({"guidance": 6.0}))
    call_command("register_model", preset="wan-2.1-t2v-1.3b", folder=folder, revision="abc")
    assert folder_facts.read(folder).guidance == 6.0


def test_a_served_model_gets_a_pool_of_its_own_with_lanes_and_metrics():
    for _ in range(2):  # the second time brings the candidate up to date
        call_command("register_model", preset="pocket-code-vllm", folder=vllm_stage.FOLDER, url=URL)
    row = RegisteredModel.objects.get(name="pocket-code-vllm")
    assert (row.status, row.can.engine) == ("candidate", "vllm")
    assert row.can.options == {"url": URL, "model": "pocket-code-vllm"}
    pool = Pool.objects.get(pk="coder")
    assert (pool.kind, pool.metrics_url) == ("code", f"{URL}/metrics")
    weights = Lane.objects.filter(pool=pool).order_by("tier__rank").values_list("slug", "weight")
    assert list(weights) == [
        ("coder-free", 1.0),
        ("coder-plus", 2.0),
        ("coder-pro", 4.0),
        ("coder-enterprise", 8.0),
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"url": ""}, "Say where the vLLM server is"),
        ({"url": "ftp://x"}, "it is http:// or https://"),
        ({"url": URL, "pool": "clips"}, "is for jobs of kind clip"),
        ({"url": URL, "pool": "code"}, "this machine's own"),
    ],
)
def test_what_can_not_be_is_refused_and_nothing_written(options, why):
    with pytest.raises(CommandError, match=why):
        call_command("register_model", preset="pocket-code-vllm", folder=vllm_stage.FOLDER, **options)
    assert not RegisteredModel.objects.filter(name="pocket-code-vllm").exists()
    assert not Pool.objects.filter(pk="coder").exists()


def test_an_active_revision_is_not_changed():
    model = vllm_stage.coder(URL)
    with pytest.raises(CommandError, match="is active; register another revision"):
        call_command(
            "register_model",
            preset="pocket-code-vllm",
            folder=vllm_stage.FOLDER,
            url=URL,
            name=model.name,
            revision=model.revision,
        )


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(CommandError, match="has no model_index.json"):
        call_command("register_model", preset="wan-2.1-t2v-1.3b", folder=tmp_path, revision="abc")


def test_the_presets_are_listed(capsys):
    call_command("register_model", "--list")
    assert "Lightricks/LTX-Video" in capsys.readouterr().out
