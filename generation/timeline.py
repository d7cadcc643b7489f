"""Everything that happened to a job, in order: plain values for the job page, from the rows that were written then."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from generation.history import Story
from generation.models import Attempt, FileRemoval, JobEvent, State
from safety.models import FrameClass, Scan

# Changes of state that an attempt, a charge or the decision doesn't tell already.
TOLD_BY_EVENTS = {
    State.QUEUED: ("notice", "undo", "Back at the head of its lane"),
    State.FINISHING: ("ok", "check", "Every step ran"),
    State.HELD: ("warning", "pause", "Waiting for signing"),
    State.REVIEW: ("warning", "eye", "Waiting for a person's decision"),
    State.DELIVERED: ("ok", "check", "Delivered"),
    State.WITHDRAWN: ("danger", "shield", "Withdrawn from delivery"),
    State.BLOCKED: ("danger", "shield", "Blocked"),
    State.CANCELLED: ("", "dash", "Cancelled"),
    State.FAILED: ("danger", "cross", "Failed"),
}
INPUT_TITLES = {
    Scan.Result.PASS: "Its picture passed the gates",
    Scan.Result.REVIEW: "Its picture was refused",
    Scan.Result.BLOCK: "Its picture was refused",
    Scan.Result.UNAVAILABLE: "A gate could not look at its picture",
}
ATTEMPT_TONES = {
    "": "notice",
    Attempt.Outcome.DELIVERED: "ok",
    Attempt.Outcome.HANDED_BACK: "notice",
    Attempt.Outcome.REVIEW: "warning",
    Attempt.Outcome.CANCELLED: "",
}


@dataclass(frozen=True)
class Moment:
    """One entry. `kind` names the part of the page that words it from `about`; `took_s` is how long it lasted.

    `rows` are names with values to list below it.
    """

    at: datetime
    kind: str
    tone: str
    icon: str
    title: str
    about: object
    took_s: float | None = None
    took_word: str = ""
    rows: tuple[tuple[str, str], ...] = ()


def moments(story: Story) -> list[Moment]:
    """The entries of a job's timeline, oldest first."""
    found = [*_decision(story), *_attempts(story), *_events(story), *_gates(story), *_signatures(story)]
    return sorted([*found, *_charge(story), *_files(story)], key=lambda moment: moment.at)


def _decision(story: Story) -> Iterator[Moment]:
    decision = story.job.decision
    yield Moment(decision.at, "decision", "ok", "scales", "Allowed", decision)


def _attempts(story: Story) -> Iterator[Moment]:
    ready_at = story.job.queued_at
    for attempt in story.attempts:
        waited = max(0.0, (attempt.started_at - ready_at).total_seconds())
        tone = ATTEMPT_TONES.get(attempt.outcome, "danger")
        title = "Claimed by a worker" if attempt is story.attempts[0] else "Claimed again"
        yield Moment(attempt.started_at, "attempt", tone, "worker", title, attempt, waited, "waited")
        ready_at = attempt.ended_at or attempt.started_at


def _events(story: Story) -> Iterator[Moment]:
    for event in story.events:
        if event.from_state and event.to_state in TOLD_BY_EVENTS:
            tone, icon, title = TOLD_BY_EVENTS[event.to_state]
            if event.from_state == State.SCREENING and event.to_state == State.QUEUED:
                tone, icon, title = "ok", "check", "In its lane"
            yield Moment(
                event.at, "event", tone, icon, title, event, _since_submission(story, event), "in all"
            )


def _since_submission(story: Story, event: JobEvent) -> float | None:
    """Time in system, for the event that ended the job."""
    if event.to_state in (State.DELIVERED, State.BLOCKED, State.CANCELLED, State.FAILED):
        return (event.at - story.job.created_at).total_seconds()
    return None


def _gates(story: Story) -> Iterator[Moment]:
    """Each final scan by itself; the early looks of one attempt together."""
    finals = [scan for scan in story.scans if scan.purpose == Scan.Purpose.FINAL]
    for scan in finals:
        tone, title = _verdict(scan)
        took = None if scan.elapsed_ms is None else scan.elapsed_ms / 1000
        at = scan.finished_at or scan.started_at
        yield Moment(at, "scan", tone, "shield-check", title, scan, took, rows=_frames(scan))
    for scan in story.scans:
        if scan.purpose == Scan.Purpose.INPUT:
            tone, _ = _verdict(scan)
            took = None if scan.elapsed_ms is None else scan.elapsed_ms / 1000
            at = scan.finished_at or scan.started_at
            yield Moment(
                at,
                "scan",
                tone,
                "eye",
                INPUT_TITLES.get(scan.verdict, "Its picture is looked at"),
                scan,
                took,
            )
    looks = [scan for scan in story.scans if scan.purpose == Scan.Purpose.PREVIEW]
    for _, group in groupby(looks, key=lambda scan: scan.fence):
        scans = list(group)
        passed = all(scan.verdict == Scan.Result.PASS for scan in scans if scan.verdict)
        took = sum(scan.elapsed_ms or 0 for scan in scans) / 1000
        title = "Previews passed the gates" if passed else "A preview did not pass"
        last = scans[-1].finished_at or scans[-1].started_at
        yield Moment(last, "looks", "ok" if passed else "danger", "eye", title, scans, took)


def _frames(scan: Scan) -> tuple[tuple[str, str], ...]:
    """Class → how many of the frames it was looked for in, child safety first."""
    counts = scan.frames_scanned
    named = [(name.label, f"{counts[name]} of {scan.frames_total}") for name in FrameClass if name in counts]
    return tuple(named)


def _verdict(scan: Scan) -> tuple[str, str]:
    return {
        Scan.Result.PASS: ("ok", "Frame gates passed"),
        Scan.Result.REVIEW: ("warning", "Frame gates ask for a person"),
        Scan.Result.BLOCK: ("danger", "Frame gates refused it"),
        Scan.Result.UNAVAILABLE: ("danger", "A frame gate could not answer"),
    }.get(scan.verdict, ("notice", "Frame gates are looking"))


def _signatures(story: Story) -> Iterator[Moment]:
    for credential in story.credentials:
        trusted = credential.state == "Trusted"
        title = "Signed and verified" if trusted else "Signed, but it did not verify"
        yield Moment(
            credential.verified_at, "credential", "ok" if trusted else "danger", "seal", title, credential
        )


def _files(story: Story) -> Iterator[Moment]:
    """When the files went. A repeat's are those of the clip that it repeats."""
    if story.removal is not None:
        expired = story.removal.cause == FileRemoval.Cause.EXPIRED
        title = (
            "Its files were kept as long as promised" if expired else "Its files were deleted by their owner"
        )
        yield Moment(story.removal.at, "files", "", "dash", title, story.removal)


def _charge(story: Story) -> Iterator[Moment]:
    if story.charge is not None:
        title = "Charged" if story.charge.amount else "Nothing charged"
        yield Moment(
            story.charge.at, "charge", "ok" if story.charge.amount else "", "coins", title, story.charge
        )
