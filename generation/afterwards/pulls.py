"""Pulling delivered clips of a window or pattern into review at once, withheld from delivery while they wait.

A pull is a row that goes on in batches, one transaction each: items, withholding and the place it has come to change
together, so a killed process loses and repeats nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import Organization, StaffRole, User
from generation.afterwards import review_delivery
from generation.models import Asset, Job, Kind, RegisteredModel, ReviewPull, State
from safety.models import PromptCategory, ReviewClass
from safety.prefilter.patterns import BadPattern, compile_pattern
from safety.review import queue as review

BATCH = 200
MOST_PREVIEWED = 20_000  # prompts that a preview matches with a pattern
LONGEST = timedelta(days=31)


@dataclass(frozen=True)
class Window:
    """Which delivered clips: of a span of time, and where given of a pattern, category, organization or model."""

    since: datetime
    until: datetime
    pattern: str = ""
    category: str = ""
    organization: Organization | None = None
    model: RegisteredModel | None = None

    def check(self) -> None:
        if not self.since < self.until or self.until - self.since > LONGEST:
            message = f"Give a span that begins before it ends and is {LONGEST.days} days long at most."
            raise ApiError("invalid_value", message, param="since")
        if self.category and not PromptCategory.objects.filter(pk=self.category).exists():
            raise ApiError("invalid_value", "There is no such category of prompts.", param="category")
        if self.pattern:
            try:
                compile_pattern(self.pattern)
            except BadPattern as error:
                raise ApiError(
                    "invalid_value", f"The pattern can't be read: {error}", param="pattern"
                ) from error

    def jobs(self) -> QuerySet[Job]:
        """Delivered clips with a file of their own, oldest first. Their exact repeats go with them."""
        found = Job.objects.filter(
            kind=Kind.CLIP,
            state=State.DELIVERED,
            repeat_of=None,
            deleted_at=None,
            finished_at__gte=self.since,
            finished_at__lt=self.until,
        )
        if self.category:
            found = found.filter(screening__category=self.category)
        if self.organization is not None:
            found = found.filter(organization=self.organization)
        if self.model is not None:
            found = found.filter(model=self.model)
        return found.order_by("finished_at", "id")

    def matching(self, jobs: list[Job]) -> list[Job]:
        if not self.pattern:
            return jobs
        pattern = compile_pattern(self.pattern)
        return [job for job in jobs if pattern.search(job.prompt)]


@dataclass
class PullIntoReview(Action):
    """Pull delivered clips into review at once."""

    name: ClassVar[str] = "review.pull"
    title: ClassVar[str] = "Pull into review"
    role: ClassVar[str] = StaffRole.Role.TRUST_SAFETY

    window: Window
    review_class: str = ReviewClass.OTHER
    withhold: bool = True
    pull_id: int | None = None  # of the one to undo

    @property
    def target(self) -> str:
        return f"pull:{self.pull_id or 'new'}"

    def preview(self) -> Preview:
        self._check()
        count, whole = count_of(self.window)
        one = count == 1 and whole
        words = f"{count if whole else f'At least {count}'} delivered clip{'' if one else 's'}"
        words += " goes into review" if one else " go into review"
        if self.withhold:
            held = "withheld from delivery until somebody has decided"
        else:
            held = "and delivered as before meanwhile"
        return Preview({"clips": 0}, {"clips": count, "withhold": self.withhold}, f"{words}, {held}.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        """The first batch at once, the rest within seconds by upkeep."""
        if expires_at is not None:
            raise ApiError("invalid_value", "A pull doesn't expire: people decide.", param="expires_at")
        self._check()
        window = self.window
        pull = ReviewPull.objects.create(
            since=window.since,
            until=window.until,
            pattern=window.pattern,
            category=window.category,
            organization=window.organization,
            model=window.model,
            review_class=self.review_class,
            withhold=self.withhold,
            author=actor.email,
            reason=reason.strip(),
        )
        self.pull_id = pull.pk
        advance(pull.pk)
        pull.refresh_from_db()
        after = {"pull": pull.pk, "pulled": pull.pulled, "state": pull.state, "withhold": pull.withhold}
        return {"before": {}, "after": after, "undo": {"pull": pull.pk}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """What nobody has looked at goes back to delivery; what somebody has claimed stays in review."""
        returned = take_back(undo["pull"])
        return {"before": {"pull": undo["pull"]}, "after": {"returned": returned}, "undo": None}

    def _check(self) -> None:
        self.window.check()
        if self.review_class not in ReviewClass.values:
            raise ApiError("invalid_value", "Choose what reviewers look for.", param="class")


def window_of(pull: ReviewPull) -> Window:
    return Window(pull.since, pull.until, pull.pattern, pull.category, pull.organization, pull.model)


def action_of(pull: ReviewPull) -> PullIntoReview:
    """The action that made a pull, to take it back."""
    return PullIntoReview(window_of(pull), pull.review_class, pull.withhold, pull.pk)


def count_of(window: Window) -> tuple[int, bool]:
    """How many clips a window holds, and whether that is all of them."""
    jobs = window.jobs()
    if not window.pattern:
        return jobs.count(), True
    pattern = compile_pattern(window.pattern)
    prompts = list(jobs.values_list("prompt", flat=True)[: MOST_PREVIEWED + 1])
    count = sum(bool(pattern.search(prompt)) for prompt in prompts[:MOST_PREVIEWED])
    return count, len(prompts) <= MOST_PREVIEWED


def advance(pull_id: int) -> int:
    """The next batch of a pull, in one transaction; how many clips it looked at."""
    with transaction.atomic():
        rows = ReviewPull.objects.select_for_update(of=("self",), skip_locked=True)
        pull = rows.filter(pk=pull_id, state=ReviewPull.State.RUNNING).first()
        if pull is None:
            return 0
        window = window_of(pull)
        jobs = list(_behind(window.jobs(), pull).only("pk", "prompt", "fence", "finished_at")[:BATCH])
        matching = window.matching(jobs)
        new = _put(pull, matching)
        pull.seen += len(jobs)
        pull.pulled += new
        if jobs:
            pull.cursor_at, pull.cursor_id = jobs[-1].finished_at, jobs[-1].pk
        if len(jobs) < BATCH:
            pull.state, pull.ended_at = ReviewPull.State.DONE, Now()
        pull.save()
    return len(jobs)


def _behind(jobs: QuerySet[Job], pull: ReviewPull) -> QuerySet[Job]:
    if pull.cursor_at is None:
        return jobs
    later = Q(finished_at__gt=pull.cursor_at) | Q(finished_at=pull.cursor_at, id__gt=pull.cursor_id)
    return jobs.filter(later)


def _put(pull: ReviewPull, jobs: list[Job]) -> int:
    files = Asset.objects.filter(job__in=jobs, role="video", removed_at=None).values_list("job_id", "digest")
    digests = dict(files)
    pulled = [review.Pulled(str(job.pk), job.fence, digests[job.pk]) for job in jobs if job.pk in digests]
    new = review.open_many(
        pulled,
        review_class=pull.review_class,
        why=f"Pulled: {pull.reason}",
        pull=str(pull.pk),
        withheld=pull.withhold,
    )
    if pull.withhold:
        Asset.objects.filter(job__in=digests, withheld_at=None).update(withheld_at=Now())
    return new


def take_back(pull_id: int) -> int:
    """Return what nobody has looked at, in one transaction; how many. Raises `ApiError` where it was undone before."""
    with transaction.atomic():
        pull = ReviewPull.objects.select_for_update(of=("self",)).filter(pk=pull_id).first()
        if pull is None or pull.state == ReviewPull.State.UNDONE:
            raise ApiError("already_decided", "This pull was taken back already.")
        ReviewPull.objects.filter(pk=pull_id).update(state=ReviewPull.State.UNDONE, ended_at=Now())
        subjects = review.return_unseen(str(pull_id))
        review_delivery.lift(subjects)
    return len(subjects)


def advance_all() -> int:
    """A batch of each pull that is not done; for upkeep."""
    running = ReviewPull.objects.filter(state=ReviewPull.State.RUNNING).order_by("id")
    return sum(advance(pk) for pk in running.values_list("pk", flat=True)[:20])
