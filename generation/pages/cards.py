"""A job as a card shows it: where it stands on its way, what it waits for, what may be seen of it already."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from generation import history
from generation.models import Attempt, Job, Kind, State
from generation.scheduling.standing import Standing, standing

CLIP_WAY = ("queued", "denoising", "checking", "signing", "ready")
CODE_WAY = ("queued", "writing", "ready")
# The worker's own stages that come after the last step, by their place on the way of a clip.
SIGNING_STAGES = frozenset({"signing", "delivering"})
MOST_RUNNING, MOST_WAITING = 3, 2
STANDING_KEPT_S = 1.0
STOPPED_WORDS = {
    State.CANCELLED: "cancelled",
    State.BLOCKED: "blocked",
    State.FAILED: "failed",
    State.WITHDRAWN: "withdrawn",
}


@dataclass(frozen=True)
class Stage:
    """`mark` is past, now or ahead; `share` is how much of it is done, None where that isn't counted."""

    name: str
    mark: str
    share: float | None = None


@dataclass(frozen=True)
class Card:
    """`end` is "", "done" or "stopped"; `look` names the newest preview: an unchanged one isn't fetched again."""

    job: Job
    live: Attempt | None
    stages: tuple[Stage, ...]
    end: str
    step: int
    look: str
    standing: Standing | None
    credentials: str

    @property
    def ratio(self) -> str:
        return f"{self.job.spec['width']} / {self.job.spec['height']}" if self.job.kind == Kind.CLIP else ""

    @property
    def gone(self) -> bool:
        """A delivered clip whose files are no longer there; a repeat's are those of the clip it repeats."""
        return self.end == "done" and self.job.kind == Kind.CLIP and not history.files_of(self.job)

    @property
    def can_remix(self) -> bool:
        """A picture that a clip began from is not kept, so that one can't be made again from its page."""
        return self.end == "done" and self.job.kind == Kind.CLIP and not self.job.spec.get("image")

    @property
    def can_retry(self) -> bool:
        """Whether what stopped may be asked for again as it was: not what policy refused, nor without its picture."""
        asked_for = self.job.state in (State.FAILED, State.CANCELLED) and not self.job.spec.get("image")
        return asked_for and self.job.kind == Kind.CLIP

    @property
    def settings(self) -> dict[str, str]:
        """The fields of the studio's form that ask for this clip again, its seed among them."""
        spec = self.job.spec
        size = f"{spec['width']}x{spec['height']}"
        asked = {"prompt": self.job.prompt, "size": size, "seconds": str(spec["seconds"])}
        return {**asked, "seed": str(self.job.seed), "model": self.job.model.name}

    @property
    def same_words(self) -> str:
        """The query of the studio that asks for variations: the same words and settings, other seeds."""
        return urlencode({name: value for name, value in self.settings.items() if name != "seed"})

    @property
    def same_seed(self) -> str:
        """The query of the studio that keeps the seed and the settings and leaves the words to write."""
        return urlencode({name: value for name, value in self.settings.items() if name != "prompt"})

    @property
    def can_cancel(self) -> bool:
        return (
            self.job.state in (State.SCREENING, State.QUEUED, State.RUNNING)
            and not self.job.cancel_requested_at
        )

    @property
    def cancel_costs_micro(self) -> int:
        """What a cancel would be charged now: the share of the quote for the steps that have run, rounded up."""
        if not self.job.steps or not self.step:
            return 0
        return -(-self.job.quote_micro * min(self.step, self.job.steps) // self.job.steps)


class Standings:
    """Where jobs stand, asked for the few that are nearest to their end, and each at most once a second.

    A person's later clips wait behind their own earlier ones; asking for each of them would cost eight queries a clip.
    """

    def __init__(self) -> None:
        self.known: dict[UUID, tuple[float, Standing]] = {}

    def of(self, jobs: list[Job]) -> dict[UUID, Standing]:
        oldest_first = sorted(jobs, key=lambda job: job.queued_at)
        running = [job for job in oldest_first if job.state in (State.RUNNING, State.FINISHING)]
        waiting = [job for job in oldest_first if job.state == State.QUEUED]
        others = [job for job in oldest_first if job.state in (State.SCREENING, State.HELD, State.REVIEW)]
        asked = [*running[:MOST_RUNNING], *waiting[:MOST_WAITING], *others]
        behind = {
            job.pk: Standing(None, None, None, None, f"Behind {place} of your own clips.")
            for place, job in enumerate(waiting)
            if place >= MOST_WAITING
        }
        return {job.pk: self._of(job) for job in asked} | behind

    def _of(self, job: Job) -> Standing:
        now = time.monotonic()
        asked_at, known = self.known.get(job.pk, (-STANDING_KEPT_S, None))
        if known is None or now - asked_at >= STANDING_KEPT_S:
            known = standing(job)
            self.known[job.pk] = (now, known)
        return known


class Unasked(Standings):
    """Where cards don't say where their jobs stand."""

    def of(self, jobs: list[Job]) -> dict[UUID, Standing]:
        return {}


def cards(jobs: Iterable[Job], standings: Standings | None = None) -> list[Card]:
    """Cards for jobs from generation.history; one query for the credentials, and the standings of the open clips."""
    jobs = list(jobs)
    states = history.credential_states(jobs)
    places = (standings or Standings()).of([job for job in jobs if job.is_open and job.kind == Kind.CLIP])
    return [_card(job, states.get(job.pk, ""), places.get(job.pk)) for job in jobs]


def _card(job: Job, credentials: str, place: Standing | None) -> Card:
    live = next((turn for turn in job.turns if turn.ended_at is None), None)
    step = max(job.steps_run, live.step if live else 0)
    stages, end = way(job, live, step)
    shown = next((turn for turn in reversed(job.turns) if turn.preview), None)
    look = shown.preview.rpartition("/")[2].partition(".")[0] + f"-{shown.fence}" if shown else ""
    return Card(job, live, stages, end, step, look, place, credentials)


def way(job: Job, live: Attempt | None, step: int) -> tuple[tuple[Stage, ...], str]:
    """The stages of a job's way with the one it is at, and how it ended."""
    names = list(CLIP_WAY if job.kind == Kind.CLIP else CODE_WAY)
    at = _place(job, live, step)
    end = "done" if job.state == State.DELIVERED else "stopped" if job.state in STOPPED_WORDS else ""
    if job.state == State.RUNNING and job.kind == Kind.CLIP:
        names[1] = f"denoising {step}/{job.steps}"
    elif job.state == State.REVIEW:
        names[at] = "in review"
    elif end == "stopped":
        names[at] = STOPPED_WORDS[job.state]
    share = step / job.steps if job.state == State.RUNNING and job.steps else None
    marks = ["past" if n < at else "now" if n == at else "ahead" for n in range(len(names))]
    return tuple(Stage(n, m, share if m == "now" else None) for n, m in zip(names, marks, strict=True)), end


def _place(job: Job, live: Attempt | None, step: int) -> int:
    last = len(CLIP_WAY if job.kind == Kind.CLIP else CODE_WAY) - 1
    if job.state in (State.DELIVERED, State.WITHDRAWN):
        return last
    if job.state in (State.SCREENING, State.QUEUED):
        return 0
    if job.kind == Kind.CODE or job.state == State.RUNNING:
        return 1
    if job.state == State.HELD:
        return 3
    if job.state == State.FINISHING:
        return 3 if live and live.stage in SIGNING_STAGES else 2
    if job.state in (State.CANCELLED, State.FAILED, State.BLOCKED) and step < job.steps:
        return 1 if job.started_at else 0
    return 2
