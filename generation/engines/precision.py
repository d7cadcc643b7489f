"""The precisions a transformer can run in, and turning its linear layers into int8 or fp8 with torchao.

Only the matrices inside the blocks are quantized. Norms and the time embedding stay in fp32 as Wan keeps them, the
rest in bf16; so int8 and fp8 are bf16 models with other matrices.
"""

import torch
from torch import nn
from torchao.quantization import (
    Float8DynamicActivationFloat8WeightConfig,
    Int8DynamicActivationInt8WeightConfig,
    PerRow,
    quantize_,
)

from generation.engines.errors import UnsupportedModel

LOADED_AS = {
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "int8": torch.bfloat16,
    "fp8": torch.bfloat16,
}
# fp8 matrix units came with compute capability 8.9 (Ada, then Hopper).
FP8_FROM = (8, 9)
BLOCKS = ("blocks.", "transformer_blocks.")  # Wan's, LTX-Video's
SMALLEST = torch.finfo(torch.float32).tiny


def check(precision: str, device: torch.device) -> None:
    """Raises UnsupportedModel for a precision that is unknown or that the device cannot compute in."""
    if precision not in LOADED_AS:
        raise UnsupportedModel(f"There is no precision {precision}; choose {' or '.join(LOADED_AS)}.")
    if precision != "fp8":
        return
    if device.type != "cuda":
        raise UnsupportedModel(
            f"fp8 needs a GPU with fp8 matrix units (compute capability {FP8_FROM[0]}.{FP8_FROM[1]} or later); "
            f"this device is a {device.type}. Choose int8 or bf16."
        )
    capability = torch.cuda.get_device_capability(device)
    if capability < FP8_FROM:
        name = torch.cuda.get_device_name(device)
        raise UnsupportedModel(
            f"{name} has compute capability {capability[0]}.{capability[1]}; fp8 needs 8.9 or later."
        )


def quantize(transformer: nn.Module, precision: str, device: torch.device) -> None:
    """Replace the matrices of the transformer's blocks, in place, by int8 or fp8 ones; nothing for bf16 and fp32."""
    if precision not in ("int8", "fp8"):
        return
    config = Int8DynamicActivationInt8WeightConfig(granularity=PerRow(), set_inductor_config=False)
    if precision == "fp8":
        config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False)
    quantize_(transformer, config, filter_fn=lambda module, name: _in_block(module, name))
    if precision == "int8" and device.type == "cpu":
        _use_own_forward(transformer)


class Int8Linear(nn.Module):
    """A linear layer on a CPU with int8 weights by output channel and activations quantized by row as they come.

    y = (round(x / s) · W) · s · w + b, s = max|x| / 127 of each row. The weights are torchao's; the way through them is
    our own, because torchao's counts on a compiler to fuse it: uncompiled it took twice the time of bf16, this takes
    three quarters (docs/engine.md). The product is of whole numbers and exact, whatever the number of threads.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.qdata.t(), persistent=False)
        self.register_buffer("scale", linear.weight.scale.flatten().float(), persistent=False)
        bias = None if linear.bias is None else linear.bias.detach().float()
        self.register_buffer("bias", bias, persistent=False)
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in_features] to [..., out_features] in x's own dtype. A NaN in a row makes its whole row NaN."""
        rows = x.reshape(-1, self.in_features)
        row_scale = rows.abs().amax(dim=1, keepdim=True).float().mul_(1 / 127).clamp_(min=SMALLEST)
        whole = (rows.float() / row_scale).round_().to(torch.int8)
        y = torch._int_mm(whole, self.weight).float().mul_(row_scale).mul_(self.scale)
        if self.bias is not None:
            y.add_(self.bias)
        return y.to(x.dtype).view(*x.shape[:-1], self.out_features)


def _in_block(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and name.startswith(BLOCKS)


def _use_own_forward(transformer: nn.Module) -> None:
    for name, module in list(transformer.named_modules()):
        if _in_block(module, name):
            parent = transformer.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], Int8Linear(module))
