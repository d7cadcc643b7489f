"""Noticing a latent that blew up, without making a GPU wait."""

from collections import deque

import torch


class FinitenessGuard:
    """Reduces each step's latent to one flag on its own device.

    On a GPU the flag travels to pinned memory behind the kernels already queued; `finite` waits only for the step
    before the last, so the device always has the last one still to do and never runs dry, and the host never runs
    more than one step ahead. A blow-up is thus known within two steps. On a CPU it is known at once.
    """

    def __init__(self) -> None:
        self._finite = True
        self._on_the_way: deque[tuple[torch.cuda.Event, torch.Tensor]] = deque()

    def observe(self, latents: torch.Tensor) -> None:
        """Take the flag of one step's latent."""
        flag = torch.isfinite(latents).all()
        if latents.device.type != "cuda":
            self._finite = self._finite and bool(flag)
            return
        landing = torch.empty((), dtype=torch.bool, pin_memory=True)
        landing.copy_(flag, non_blocking=True)
        landed = torch.cuda.Event()
        # The stream of the latent's own device, which need not be the process's current one.
        landed.record(torch.cuda.current_stream(latents.device))
        self._on_the_way.append((landed, landing))

    def finite(self, *, to_the_end: bool) -> bool:
        """Whether all steps known so far were finite; `to_the_end` waits for the last one too."""
        while len(self._on_the_way) > (0 if to_the_end else 1):
            landed, landing = self._on_the_way.popleft()
            landed.synchronize()
            self._finite = self._finite and bool(landing)
        return self._finite
