"""The benchmark harness: what it prints, and how it takes its medians."""

import json

import pytest

from bench import __main__ as entry
from bench import denoise, wan_shapes
from bench.harness import Figure, Run, per_second, percentile
from generation.engines.schedulers import UNIPC
from generation.engines.video import VideoEngine
from tests.generation.tiny_models import write_video_model


def scripted(*values: float):
    """A measurement that gives these values in turn, and then no more."""
    left = list(values)
    return lambda: left.pop(0)


RUN = Run("postgresql://none", "redis://none", repeats=3, warmups=1)


def test_a_figure_is_one_json_object_with_the_agreed_keys():
    figure = Figure("claims_per_second_1k", 123.456789, "1/s", "the bare query", 246.913578)
    assert json.loads(figure.line()) == {
        "name": "claims_per_second_1k",
        "value": 123.5,
        "unit": "1/s",
        "reference": "the bare query",
        "reference_value": 246.9,
        "ratio": 0.5,
    }
    assert "\n" not in figure.line()


def test_the_median_leaves_out_the_warm_up():
    assert RUN.median(scripted(1000, 3, 1, 2)) == 2


def test_both_are_measured_in_turns():
    calls = []
    ours, reference = scripted(9, 1, 2, 3), scripted(9, 10, 20, 30)
    medians = RUN.beside(
        lambda: calls.append("ours") or ours(), lambda: calls.append("reference") or reference()
    )
    assert medians == (2, 20)
    assert calls == ["ours", "reference"] * 4


def test_percentiles_are_nearest_rank():
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7.0], 0.99) == 7


def test_a_rate_counts_what_was_done():
    assert per_second(10, lambda: None) > 10


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(SystemExit, match="no benchmark nonsense"):
        entry.chosen(["nonsense"])


def test_the_denoise_loop_is_the_bare_pipelines_with_its_time_told_apart(tmp_path):
    engine = VideoEngine(write_video_model(tmp_path / "model"), "bench", scheduler=UNIPC)
    work = denoise.work_of(engine, 12)
    loop = denoise.Loop(engine, tmp_path / "checkpoints")
    state = loop.make(work)
    engine.pipeline.scheduler = engine._template
    assert state.latents.equal(denoise.bare_latents(engine, work))
    assert loop.steps == 12
    assert min(loop.step_s, loop.checkpoint_s, loop.look_s) > 0
    kept = sorted(path.name for path in (tmp_path / "checkpoints").rglob("*.safetensors"))
    assert kept == ["step-0010.safetensors", "step-0012.safetensors"]


def test_every_resumed_clip_is_counted(tmp_path):
    folder = write_video_model(tmp_path / "model")
    figure = denoise.resumed(folder, tmp_path / "checkpoints", 3)
    # Two schedulers, three precisions, after each of the steps but the last.
    assert (figure.value, figure.reference_value, figure.ratio) == (12, 12, 1.0)


def test_operations_of_a_forward_are_counted_as_documented():
    shape = wan_shapes.Shape(layers=1, heads=1, head=2, ffn=5, text=4)
    # N = 3, d = 2, f = 5, S = 7: 8*3*4 + 4*9*2 + 4*3*4 + 4*7*4 + 4*3*7*2 + 4*3*2*5
    assert wan_shapes.flops_of(shape, tokens=3, text=7) == 96 + 72 + 48 + 112 + 168 + 120
    real = wan_shapes.SHAPES["wan-1.3b"]
    # 21 latent frames of 30 x 52 patches.
    assert wan_shapes.flops_of(real, 32760) == pytest.approx(2.83e14, rel=0.01)


def test_the_shape_of_a_card_runs_small_on_a_cpu():
    arguments = ["--gpu-shape", "tiny", "--device", "cpu", "--frames", "5", "--steps", "2", "--sizes", "480p"]
    figures = {
        f.name: f for f in wan_shapes.measure_from([*arguments, "--variants", "step_cache", "int8", "fp8"])
    }
    assert set(figures) == {
        "480p_step_s",
        "480p_checkpoint_s",
        "480p_look_s",
        "480p_decode_s",
        "480p_peak_gb",
        "480p_step_s_step_cache",
        "480p_step_s_int8",
        "refused_fp8",
    }
    assert "needs a GPU" in figures["refused_fp8"].reference
    assert all(figure.value > 0 for name, figure in figures.items() if name != "refused_fp8")


def test_a_large_shape_is_not_tried_on_a_cpu(capsys):
    with pytest.raises(SystemExit):
        list(wan_shapes.measure_from(["--gpu-shape", "wan-1.3b", "--device", "cpu"]))
    assert "on a CPU only --gpu-shape tiny" in capsys.readouterr().err
