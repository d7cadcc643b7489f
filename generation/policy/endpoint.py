"""What an OpenAI-compatible endpoint's own metrics say about how much more it can take."""

from collections.abc import Mapping
from dataclasses import dataclass

# From here on the key-value cache evicts what runs, and vLLM computes it twice.
FULL_CACHE = 0.9

# Names as vLLM gives them; the cache gauge was renamed between its engines.
RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
CACHE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
# Prompt tokens that were looked up in the prefix cache, and those found there; since the server's start.
PREFIX = ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total")


@dataclass(frozen=True)
class Load:
    """Requests in the batch, requests that wait for a place in it, and the share of the cache in use (of one).

    `prefix_queries` are prompt tokens looked up in the prefix cache since its start, `prefix_hits` those found.
    """

    running: int
    waiting: int
    cache_share: float
    prefix_queries: int | None = None
    prefix_hits: int | None = None

    @property
    def full(self) -> bool:
        return self.waiting > 0 or self.cache_share >= FULL_CACHE


class Unreadable(Exception):
    """The endpoint's answer lacks a metric that is needed."""


def load(samples: Mapping[str, float]) -> Load:
    """From metric name → value, summed over its labels (several models or engines behind one address)."""
    cache = [samples[name] for name in CACHE if name in samples]
    missing = [name for name in (RUNNING, WAITING) if name not in samples]
    if missing or not cache:
        raise Unreadable(f"no {', '.join(missing) or CACHE[0]} among the endpoint's metrics")
    prefix = [int(samples[name]) if name in samples else None for name in PREFIX]
    return Load(int(samples[RUNNING]), int(samples[WAITING]), min(1.0, max(0.0, cache[0])), *prefix)


def priority(weight: float) -> int:
    """A request's place in the server's own queue, by its lane's weight: lower goes earlier."""
    return -round(100 * weight)


def capacity_micro(seen: Load, running_units_micro: int) -> int | None:
    """Micro-units that may run at once while the endpoint is full: what runs, less the part that only waits inside it.

    None while it has room: then the pool's own setting stands.
    """
    if not seen.full:
        return None
    inside = seen.running + seen.waiting
    share = seen.running / inside if inside else 0.0
    return max(1, int(running_units_micro * share))
