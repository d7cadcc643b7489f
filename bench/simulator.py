"""Simulated jobs a second for an hour of 4,000 GPUs, beside a bare heap of as many events in the same run.

Measured in processor time: the simulator is one thread that waits for nothing, and what else runs here is not its own.
"""

import gc
import heapq
import time
from collections.abc import Callable, Iterable
from random import Random

from bench.harness import Figure, Run
from generation.simulator.report import Report, simulate
from generation.simulator.workloads import SCENARIOS, Ask

GPUS, HOUR_S, SEED = 4000, 3600.0, 1
MEASURED = ("steady", "free-rush")


def measure(run: Run) -> Iterable[Figure]:
    """`simulated_jobs_per_second_*` and `simulated_hour_cpu_seconds_*`, workload included, and beside them what pushing
    and popping the same number of events (a request and an end per job) takes with nothing else done."""
    for name in MEASURED:
        reports: list[Report] = []
        ours, bare = run.beside(
            lambda: _undisturbed(lambda: reports.append(_simulated(name))),  # noqa: B023
            lambda: _undisturbed(lambda: _bare_heap(reports[-1])),  # noqa: B023
        )
        jobs, label = reports[-1].jobs, name.replace("-", "_")
        reference = "bare heap of as many events"
        yield Figure(f"simulated_jobs_per_second_{label}", jobs / ours, "jobs/s", reference, jobs / bare)
        yield Figure(f"simulated_hour_cpu_seconds_{label}", ours, "s", reference, bare)


def _simulated(name: str) -> Report:
    return simulate(SCENARIOS[name](Ask(GPUS, HOUR_S, Random(SEED))))


def _bare_heap(report: Report) -> None:
    """Requests as they come in order, an end for each that started, the heap as deep as the fleet is wide."""
    chance, heap = Random(SEED), []
    for number in range(report.jobs + report.claims):
        heapq.heappush(heap, (number * 0.01 + 124.0 * chance.random(), number))
        if len(heap) > GPUS:
            heapq.heappop(heap)


def _undisturbed(work: Callable[[], None]) -> float:
    """Processor seconds without the garbage collector, as `manage.py simulate` runs it."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()
