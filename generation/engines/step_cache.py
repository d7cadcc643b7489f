"""Leaving out most of a step that would change little: diffusers' FirstBlockCache, with a memory of each clip's own.

diffusers keeps the cache on the transformer, for whoever calls it next. Here it belongs to the clip and goes into its
checkpoint, so that a resumed clip is the same bit for bit. It is emptied at every `refresh`-th step; a worker that
checkpoints at the same steps writes nothing of it (it is many times larger than the latent), only a stop between two
of them does.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from diffusers import FirstBlockCacheConfig
from diffusers.hooks.first_block_cache import _FBC_LEADER_BLOCK_HOOK, FBCSharedBlockState
from torch import nn

from generation.engines.errors import UnsupportedModel
from generation.engines.options import EngineOptions

PREFIX = "step_cache."


class StepCache:
    """The cache of one transformer. On a GPU each forward waits for one number, to decide whether to go on."""

    def __init__(self, transformer: nn.Module, options: EngineOptions) -> None:
        if len(transformer.blocks) < 2:
            raise UnsupportedModel("A step cache needs a transformer of at least two blocks.")
        transformer.enable_cache(FirstBlockCacheConfig(threshold=options.step_cache_threshold))
        hook = transformer.blocks[0]._diffusers_hook.get_hook(_FBC_LEADER_BLOCK_HOOK)
        self._manager = hook.state_manager
        self._refresh = options.step_cache_refresh
        self._lock = threading.Lock()

    @contextmanager
    def of(self, memory: dict[str, FBCSharedBlockState], index: int) -> Iterator[None]:
        """Step `index` of the clip whose memory this is: one clip at a time, emptied at every refreshing step."""
        with self._lock:
            if index % self._refresh == 0:
                memory.clear()
            self._manager._state_cache = memory
            try:
                yield
            finally:
                self._manager._state_cache = {}

    def snapshot(self, memory: Mapping[str, FBCSharedBlockState], index: int) -> dict[str, torch.Tensor]:
        """What the next step would read of the memory, by name; nothing where it begins with an empty one."""
        if index % self._refresh == 0:
            return {}
        tensors = {}
        for name, state in memory.items():
            tensors[f"{PREFIX}{name}.head"] = state.head_block_residual
            tensors[f"{PREFIX}{name}.tail"] = state.tail_block_residuals[0]
        return tensors

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, FBCSharedBlockState]:
        """The memory that `snapshot` wrote."""
        memory: dict[str, FBCSharedBlockState] = {}
        for key, tensor in tensors.items():
            if not key.startswith(PREFIX):
                continue
            name, part = key.removeprefix(PREFIX).rsplit(".", 1)
            state = memory.setdefault(name, FBCSharedBlockState())
            if part == "head":
                state.head_block_residual = tensor
            else:
                state.tail_block_residuals = (tensor, None)
        return memory
