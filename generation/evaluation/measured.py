"""Figures that ship with the repository: evaluations of exactly the shipped weights, as they were measured elsewhere.

So that pages and the API can say from the first start what a precision does to speed and match rates. They let nothing
into service: the deploy gate is run on every installation.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from generation.evaluation.records import Evaluation
from generation.models import RegisteredModel

FOLDER = Path(__file__).resolve().parent / "shipped"
COPIED = (
    "suite",
    "suite_version",
    "precision",
    "options",
    "seed",
    "count",
    "steps",
    "figures",
    "floors",
    "passed",
    "seconds",
    "device",
    "code_version",
)
AUTHOR = "measured before it was shipped"


def export(run: Evaluation, folder: Path = FOLDER) -> Path:
    """Put the run into the model's file, in place of one of the same work; figures of other revisions go."""
    path = folder / f"{run.model.name}.json"
    rows = [row for row in _rows(path) if row["revision"] == run.model.revision and not _same(row, run)]
    values = {name: getattr(run, name) for name in COPIED}
    rows.append({"revision": run.model.revision, "measured_on": run.at.date().isoformat(), **values})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def bring_in(model: RegisteredModel, folder: Path = FOLDER) -> list[Evaluation]:
    """Write the shipped figures of exactly this revision that are not there yet."""
    known = list(Evaluation.objects.filter(model=model, author=AUTHOR))
    rows = [row for row in _rows(folder / f"{model.name}.json") if row["revision"] == model.revision]
    # A gate is this installation's own: a file must not stand in for it.
    rows = [row for row in rows if row["suite"] in (Evaluation.Suite.PROMPTS, Evaluation.Suite.HELD_OUT)]
    return [
        Evaluation.objects.create(
            model=model, author=AUTHOR, at=_day(row), **{name: row[name] for name in COPIED}
        )
        for row in rows
        if not any(_same(row, run) and row["figures"] == run.figures for run in known)
    ]


def _day(row: dict) -> datetime:
    return datetime.fromisoformat(row["measured_on"]).replace(tzinfo=UTC)


def _same(row: dict, run: Evaluation) -> bool:
    names = ("suite", "precision", "options", "seed", "count", "steps", "device")
    return all(row[name] == getattr(run, name) for name in names)


def _rows(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
