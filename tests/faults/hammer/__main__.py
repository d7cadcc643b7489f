"""`python -m tests.faults.hammer [--operations N] …`: the run, and its verdict as a JSON object; exit 1 on anything."""

import argparse
import dataclasses
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.hammer.cluster import Cluster, set_up_django


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.hammer")
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--kill-every-s", type=float, default=2.0)
    parser.add_argument("--stop-every-s", type=float, default=20.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--folder",
        type=Path,
        help="keep everything here; the same folder and arguments go on where it was left",
    )
    parser.add_argument(
        "--crash-points", action="store_true", help="crash at every commit of the money paths instead"
    )
    asked = parser.parse_args(arguments)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="backlot-hammer-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # as root the server is run by another user, who must reach its data
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the clients and the server go too
    cluster = Cluster(folder)
    try:
        set_up_django(cluster.url, folder / "home")
        verdict = _crash() if asked.crash_points else _hammer(asked, cluster, folder)
    finally:
        cluster.close()
        if not asked.folder:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(verdict, default=str) + "\n")
    return 0 if verdict["clean"] else 1


def _hammer(asked: argparse.Namespace, cluster: Cluster, folder: Path) -> dict:
    from tests.faults.hammer import conductor, verdict

    given = {
        name: value
        for name, value in vars(asked).items()
        if name not in ("crash_points", "folder") and value is not None
    }
    plan = conductor.Plan(**given)
    conductor.prepare(plan)
    course = conductor.run(plan, cluster, folder)
    found = verdict.judge([conductor.journal_of(folder, number) for number in range(plan.clients)])
    faults = ("unanswered", "lost", "duplicated", "broken")
    clean = not course.problems and not any(found[name] for name in faults)
    about = {"plan": dataclasses.asdict(plan), "course": dataclasses.asdict(course), "stops": cluster.stops}
    return {"clean": clean, **about, **found}


def _crash() -> dict:
    from tests.faults.hammer import crash_points

    return crash_points.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
