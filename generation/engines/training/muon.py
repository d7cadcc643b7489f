"""Muon: momentum whose update is brought close to an orthogonal matrix, for the 2-D weights inside the
blocks.

After K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024): the momentum
matrix M = USV' is replaced by about UV' with five steps of a quintic Newton-Schulz iteration, so every
direction learns at one pace. Matrices of one shape are treated as one batch; with several processes each
brings its share of the shapes' matrices into form and the shares are exchanged.
"""

import torch
import torch.distributed as dist

# Coefficients from the paper: they lift small singular values fast and leave all of them in about 0.7..1.2.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """(n, rows, columns) to matrices with the same singular vectors and singular values near 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.transpose(1, 2) if tall else x
    return x.to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum on 2-D weights; updates are orthogonalized, tall ones scaled up.

    The scale is sqrt(max(1, rows / columns)).
    """

    def __init__(self, params, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        """One update of all parameters that have a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for same_shape in _by_shape(group["params"]):
                self._update(same_shape, group)
        return loss

    def _update(self, params: list[torch.Tensor], group: dict) -> None:
        wanted = []
        for p in params:
            buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
            buffer.lerp_(p.grad, 1 - group["momentum"])
            wanted.append(p.grad.lerp(buffer, group["momentum"]))
        directions = _orthogonalize_together(torch.stack(wanted))
        scale = max(1.0, params[0].shape[0] / params[0].shape[1]) ** 0.5
        for p, direction in zip(params, directions, strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(direction, alpha=-group["lr"] * scale)


def _by_shape(params) -> list[list[torch.Tensor]]:
    groups: dict[tuple[int, ...], list[torch.Tensor]] = {}
    for p in params:
        if p.grad is not None:
            groups.setdefault(tuple(p.shape), []).append(p)
    return list(groups.values())


def _orthogonalize_together(matrices: torch.Tensor) -> torch.Tensor:
    """Share the work between the processes of a group; gradients must be equal on all of them."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return orthogonalize(matrices)
    parts, mine = dist.get_world_size(), dist.get_rank()
    padded = -(-matrices.shape[0] // parts) * parts
    share = padded // parts
    own = matrices[mine * share : (mine + 1) * share]
    done = matrices.new_zeros(share, *matrices.shape[1:])
    if own.shape[0]:
        done[: own.shape[0]] = orthogonalize(own)
    gathered = [torch.empty_like(done) for _ in range(parts)]
    dist.all_gather(gathered, done)
    return torch.cat(gathered)[: matrices.shape[0]]
