"""What was measured of a revision: its gate, and each precision and option against the full precision without options.

Reads rows only, so that pages and the API may use it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from generation.evaluation.records import Evaluation
from generation.models import RegisteredModel

Suite = Evaluation.Suite
# Not of the model but of the run: two runs are compared only where they agree in it.
OF_THE_RUN = "at_once"


@dataclass(frozen=True)
class Variant:
    """A precision, with or without engine options. `speed` is how many times as fast as the full precision a clip was
    made, in runs over the same prompts on the same kind of device; None where no two runs can be compared."""

    precision: str
    options: dict
    prompts: Evaluation | None = None
    held_out: Evaluation | None = None
    speed: float | None = None

    @property
    def rates(self) -> dict[str, float | None]:
        """Match rates, `held_out` (all four on held-out pairs) and seconds a clip; None where it was not measured."""
        found = self.prompts.figures if self.prompts else {}
        names = ("all", "background", "colour", "motion", "shape")
        return {name: found.get(name) for name in names} | {
            "held_out": self.held_out.figures.get("all") if self.held_out else None,
            "seconds": found.get("seconds_per_clip"),
        }


@dataclass(frozen=True)
class Measured:
    """`gate` is the newest deploy gate; `variants` begin with the precisions that the revision offers, in order."""

    gate: Evaluation | None = None
    variants: list[Variant] = field(default_factory=list)


def of(models: Iterable[RegisteredModel]) -> dict[int, Measured]:
    """Per revision (by row id) the newest run of each kind; one query."""
    models = list(models)
    kinds = ("model", "suite", "precision", "options", "count", "seed", "device")
    rows = Evaluation.objects.filter(model__in=models).order_by(*kinds, "-at", "-pk").distinct(*kinds)
    found: dict[int, list[Evaluation]] = {model.pk: [] for model in models}
    for row in sorted(rows, key=lambda row: (row.at, row.pk), reverse=True):
        found[row.model_id].append(row)
    return {model.pk: _measured(model, found[model.pk]) for model in models}


def _measured(model: RegisteredModel, rows: list[Evaluation]) -> Measured:
    """`rows` are the newest first."""
    gate = next((row for row in rows if row.suite == Suite.DEPLOY), None)
    keys = [(precision, ()) for precision in model.can.precisions]
    keys += [key for row in rows if (key := _key(row)) not in keys and row.suite != Suite.DEPLOY]
    variants = [_variant(model, key, rows) for key in dict.fromkeys(keys)]
    return Measured(gate, variants)


def _variant(model: RegisteredModel, key: tuple, rows: list[Evaluation]) -> Variant:
    own = [row for row in rows if _key(row) == key]
    prompts = next((row for row in own if row.suite == Suite.PROMPTS), None)
    held_out = next((row for row in own if row.suite == Suite.HELD_OUT), None)
    speed = None if key == (model.precision, ()) else _speed(model, own, rows)
    return Variant(key[0], dict(key[1]), prompts, held_out, speed)


def _speed(model: RegisteredModel, own: list[Evaluation], rows: list[Evaluation]) -> float | None:
    """From the newest pair of runs that differ in nothing else."""
    for row in own:
        for full in rows:
            if _key(full) == (model.precision, ()) and _same_work(row, full):
                return round(full.figures["seconds_per_clip"] / row.figures["seconds_per_clip"], 3)
    return None


def _same_work(one: Evaluation, other: Evaluation) -> bool:
    names = ("suite", "suite_version", "seed", "count", "steps", "device")
    same = all(getattr(one, name) == getattr(other, name) for name in names)
    timed = one.figures.get("seconds_per_clip") and other.figures.get("seconds_per_clip")
    return bool(same and timed and one.options.get(OF_THE_RUN) == other.options.get(OF_THE_RUN))


def _key(row: Evaluation) -> tuple:
    options = {name: value for name, value in row.options.items() if name != OF_THE_RUN}
    return row.precision, tuple(sorted(options.items()))
