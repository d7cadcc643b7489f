"""What a run is given: the machines, the lanes, what arrives, what changes and what breaks. Plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from generation.policy import auto_raise, preemption
from generation.simulator.pool import LaneTerms


class Arrival(NamedTuple):
    """A request. One with `nan_at` blows up after that share of its steps; `key` is the API key it came by.

    `at_s` may lie before the beginning: a job that waited already then.
    """

    at_s: float
    lane: str
    organization: object
    estimate_ms: int
    run_ms: int
    steps: int = 1
    key: int = 0
    nan_at: float = 0.0
    units_micro: int = 0


class Change(NamedTuple):
    """A lane's weight, floor or max_running from `at_s` on."""

    at_s: float
    lane: str
    field: str
    value: float


class Failure(NamedTuple):
    """A machine dies with what it runs, and is back `down_s` later."""

    at_s: float
    machine: int
    down_s: float


@dataclass(frozen=True)
class Fleet:
    """Virtual machines of one GPU each, and how they keep what they did.

    A machine's silence is noticed after `lease_s`. With `checkpoints` every `checkpoint_steps` steps are kept.
    `finishing_s` (scan, sign, store) follows the device's part and belongs to the time in system.
    """

    gpus: int
    checkpoints: bool = True
    checkpoint_steps: int = 10
    lease_s: float = 30.0
    finishing_s: float = 0.0
    most_failures: int = 3
    gpu_hour_micro_dollars: int = 3_500_000


@dataclass(frozen=True)
class Preemption:
    """The pool's live settings of preemption, and how often the scheduler looks."""

    after_s: float
    terms: preemption.Terms
    look_every_s: float = 1.0


@dataclass(frozen=True)
class Raising:
    """The auto-raise rule of lanes, by slug, and how often it looks at how much of the past."""

    rules: dict[str, auto_raise.Rule]
    look_every_s: float = 5.0
    window_s: float = 300.0


@dataclass(frozen=True)
class Scenario:
    """One run, complete: the same scenario gives the same report. `arrivals` are in order of their time.

    The organization named `watched`, a flooder say, is reported apart from the others of its lane.
    """

    name: str
    words: str
    horizon_s: float
    fleet: Fleet
    lanes: Sequence[LaneTerms]
    arrivals: Sequence[Arrival]
    changes: Sequence[Change] = ()
    failures: Sequence[Failure] = ()
    preemption: Preemption | None = None
    raising: Raising | None = None
    capacity_units_micro: int | None = None
    watched: object = None
