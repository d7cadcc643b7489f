"""int8 and fp8: what is quantized, how close it comes, what is refused."""

import pytest
import torch
from torch import nn
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

from generation.engines import precision
from generation.engines.errors import UnsupportedModel
from generation.engines.precision import Int8Linear
from generation.engines.video import ClipWork, VideoEngine
from tests.generation.tiny_models import write_video_model

WORK = ClipWork("a red ball", "", 32, 16, 4, steps=4, guidance=4.0, seed=2)


def quantized(linear: nn.Linear) -> tuple[nn.Linear, Int8Linear]:
    """The same layer through torchao, and with our own way through torchao's weights."""
    config = Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    holder = nn.Sequential(linear)
    quantize_(holder, config)
    return holder[0], Int8Linear(holder[0])


@pytest.mark.parametrize("bias", [True, False])
def test_our_way_through_the_weights_is_as_exact_as_torchaos(bias):
    torch.manual_seed(0)
    linear = nn.Linear(48, 40, bias=bias)
    x = torch.randn(2, 9, 48) * torch.logspace(-3, 3, 9).view(1, 9, 1)
    exact = linear(x)
    theirs, ours = quantized(linear)
    errors = [(way(x) - exact).norm(dim=-1) / exact.norm(dim=-1) for way in (ours, theirs)]
    # Theirs scales a row by max / 127.5, ours by max / 127, so that nothing is cut off.
    assert errors[0].max() < 0.02
    assert errors[0].mean() < 1.1 * errors[1].mean()


def test_the_product_is_the_same_for_any_number_of_threads():
    torch.manual_seed(0)
    _, ours = quantized(nn.Linear(384, 384))
    x, before, made = torch.randn(1, 300, 384), torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made.append(ours(x))
    torch.set_num_threads(before)
    assert torch.equal(*made)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_blown_up_row_stays_blown_up(poison):
    _, ours = quantized(nn.Linear(16, 16))
    x = torch.ones(3, 16)
    x[1, 4] = poison
    finite = ours(x).isfinite().all(dim=1)
    assert finite.tolist() == [True, False, True]
    assert ours(torch.zeros(1, 16)).isfinite().all()


def test_only_the_matrices_of_the_blocks_are_quantized(tmp_path):
    transformer = VideoEngine(write_video_model(tmp_path / "model"), "r1", dtype="int8").pipeline.transformer
    kinds = {name: type(module) for name, module in transformer.named_modules()}
    inside = {name for name, kind in kinds.items() if kind is Int8Linear}
    assert {name for name in inside if not name.startswith("blocks.")} == set()
    assert len(inside) == 2 * 10
    assert not [name for name, kind in kinds.items() if kind is nn.Linear and name.startswith("blocks.")]
    assert transformer.condition_embedder.time_embedder.linear_1.weight.dtype == torch.float32
    assert transformer.blocks[0].scale_shift_table.dtype == torch.float32
    assert transformer.dtype == torch.bfloat16


def test_an_int8_clip_is_near_the_bf16_one_and_not_it(tmp_path):
    folder = write_video_model(tmp_path / "model")
    latents = []
    for dtype in ("bf16", "int8"):
        engine = VideoEngine(folder, "r1", dtype=dtype)
        state = engine.start(WORK)
        while not state.done:
            engine.step(state)
        latents.append(state.latents.float())
    error = (latents[1] - latents[0]).norm() / latents[0].norm()
    assert 0 < error < 0.1


def test_fp8_is_refused_without_the_matrix_units_for_it(tmp_path):
    with pytest.raises(
        UnsupportedModel, match=r"fp8 needs a GPU .* this device is a cpu\. Choose int8 or bf16"
    ):
        VideoEngine(write_video_model(tmp_path / "model"), "r1", dtype="fp8")


def test_an_unknown_precision_is_refused_with_those_that_there_are():
    with pytest.raises(UnsupportedModel, match="bf16 or fp32 or int8 or fp8"):
        precision.check("int4", torch.device("cpu"))
