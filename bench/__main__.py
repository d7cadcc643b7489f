"""`python -m bench [NAME]`: run one benchmark, or all, and print one JSON object a line."""

import importlib
import os
import pkgutil
import sys
from types import ModuleType

import bench
from bench.scratch import scratch_run

OWN = {"__main__", "harness", "open_loop", "raw_admission", "scoring", "scratch", "tickets", "wan_shapes"}
OWN |= {"rush_live", "rush_traffic", "rush_worker", "gate_models", "vllm_server", "stream_readers"}
PARTS = {"safety_frames"}  # belong to another benchmark, and may be run alone


def names() -> list[str]:
    """The benchmarks that there are: the modules of this folder, less the harness."""
    return sorted(
        module.name for module in pkgutil.iter_modules(bench.__path__) if module.name not in OWN | PARTS
    )


def chosen(arguments: list[str]) -> list[str]:
    """The benchmarks named on the command line, or all of them."""
    known = names()
    unknown = [name for name in arguments if name not in known and name not in PARTS]
    if unknown:
        sys.exit(f"bench: no benchmark {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    return arguments or known


def main(arguments: list[str]) -> None:
    wanted = chosen(arguments)
    if wanted == ["safety"]:
        # The encoder alone, which the filter is compared with, has one thread, as the scorer gives it. Numpy comes in
        # with Django.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with scratch_run() as run:
        for name in wanted:
            # Imported after Django is set up, so that a benchmark may import models at its top.
            module: ModuleType = importlib.import_module(f"bench.{name}")
            for figure in module.measure(run):
                print(figure.line(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
