"""The review queue: who may look at what, one person at a time, and how decisions become an end.

Nothing here knows jobs or files: generation/afterwards/review_delivery.py does what a decision means for the clip, in
the same transaction. Lock order: review item → wallet → job. Leases are by the database's clock.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.db import models, transaction
from django.db.models import Case, Count, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Sum, When
from django.db.models.functions import Coalesce, Least, Now

from accounts import audit, staff
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from safety.models import (
    Clearance,
    Exposure,
    ReviewClaim,
    ReviewClass,
    ReviewDecision,
    Reviewer,
    ReviewItem,
    ReviewLimits,
    ReviewPolicy,
    Scan,
    UserReport,
)

State, Verdict = ReviewItem.State, ReviewDecision.Verdict
LIVE = Q(ended_at=None, lease_expires_at__gt=Now())


@dataclass(frozen=True)
class Exposed:
    """What a reviewer had today (UTC) of what a day may hold."""

    reveals: int
    minutes: float
    limits: ReviewLimits

    @property
    def over(self) -> str:
        """Why nothing more is shown today, in a sentence; empty while there is room."""
        if self.minutes >= self.limits.minutes_per_day:
            most = self.limits.minutes_per_day
            return (
                f"You have reviewed for {self.minutes:.0f} of {most} minutes today. Leave the rest to others."
            )
        return ""

    @property
    def wants_break(self) -> bool:
        return self.minutes > 0 and self.minutes % self.limits.break_after_minutes > (
            self.limits.break_after_minutes - 5
        )


def open_item(
    subject: str,
    digest: str,
    *,
    kind: str,
    review_class: str,
    why: str,
    fence: int = 0,
    scan: Scan | None = None,
    pull: str = "",
    withheld: bool = False,
) -> ReviewItem:
    """Put a subject into the queue, inside the caller's transaction; one that waits already is the one returned.

    A more serious class (child safety) or a withholding is added to the one that waits.
    """
    policy = ReviewPolicy.objects.get(pk=review_class)
    values = {
        "fence": fence,
        "digest": digest,
        "kind": kind,
        "review_class": review_class,
        "scan": scan,
        "pull": pull,
        "why": why,
        "people": policy.people,
        "withheld": withheld,
    }
    item, new = ReviewItem.objects.select_for_update().get_or_create(
        subject=subject, state__in=ReviewItem.WAITING, defaults={**values, "state": State.OPEN}
    )
    if not new:
        _make_stricter(item, policy, withheld)
    return item


@dataclass(frozen=True)
class Pulled:
    """A subject that is pulled into review, with the file that was delivered."""

    subject: str
    fence: int
    digest: str


def open_many(pulled: list[Pulled], *, review_class: str, why: str, pull: str, withheld: bool) -> int:
    """Put many subjects into the queue at once, inside the caller's transaction; how many are new to it."""
    policy = ReviewPolicy.objects.get(pk=review_class)
    subjects = [one.subject for one in pulled]
    waits = set(
        ReviewItem.objects.select_for_update()
        .filter(subject__in=subjects, state__in=ReviewItem.WAITING)
        .order_by("pk")
        .values_list("subject", flat=True)
    )
    if withheld and waits:
        ReviewItem.objects.filter(subject__in=waits, state__in=ReviewItem.WAITING).update(withheld=True)
    fresh = [
        ReviewItem(
            subject=one.subject,
            fence=one.fence,
            digest=one.digest,
            kind=ReviewItem.Kind.PULL,
            review_class=review_class,
            pull=pull,
            why=why,
            people=policy.people,
            withheld=withheld,
        )
        for one in pulled
        if one.subject not in waits
    ]
    ReviewItem.objects.bulk_create(fresh, batch_size=500)
    return len(fresh)


def return_unseen(pull: str) -> list[str]:
    """Take back what a pull put into the queue and nobody has claimed, decided or reported; the subjects."""
    touched = (
        Exists(ReviewClaim.objects.filter(item=OuterRef("pk"))),
        Exists(ReviewDecision.objects.filter(item=OuterRef("pk"))),
        Exists(UserReport.objects.filter(item=OuterRef("pk"), state=UserReport.State.OPEN)),
    )
    rows = ReviewItem.objects.filter(~touched[0], ~touched[1], ~touched[2], pull=pull, state=State.OPEN)
    found = list(rows.select_for_update(of=("self",)).order_by("pk").values_list("pk", "subject"))
    ReviewItem.objects.filter(pk__in=[pk for pk, _ in found]).update(state=State.RETURNED, closed_at=Now())
    return [subject for _, subject in found]


def _make_stricter(item: ReviewItem, policy: ReviewPolicy, withheld: bool) -> None:
    """Child safety outranks every other class; people and withholding only rise."""
    if policy.review_class == ReviewClass.CHILD_SAFETY != item.review_class:
        item.review_class = policy.review_class
        item.frames = None  # its pictures are made again, without clear ones
    item.people = max(item.people, policy.people)
    item.withheld = item.withheld or withheld
    item.save(update_fields=["review_class", "people", "withheld", "frames"])


def permissions(person: User) -> dict[str, bool]:
    """Class → whether the person also decides escalated items; empty without the role trust & safety."""
    if not staff.has_role(person, StaffRole.Role.TRUST_SAFETY):
        return {}
    found: dict[str, bool] = {}
    rows = Reviewer.objects.filter(Q(person=person) | Q(person=None), withdrawn_at=None)
    for review_class, escalated in rows.values_list("review_class", "decides_escalated"):
        found[review_class] = found.get(review_class, False) or escalated
    return found


def queue(person: User, allowed: dict[str, bool] | None = None) -> QuerySet[ReviewItem]:
    """What waits for this person, child safety first, then the oldest. Items they decided already are left out."""
    allowed = permissions(person) if allowed is None else allowed
    escalated = [name for name, senior in allowed.items() if senior]
    live = ReviewClaim.objects.filter(LIVE, item=OuterRef("pk"))
    decided = ReviewDecision.objects.filter(item=OuterRef("pk"), person=person)
    return (
        ReviewItem.objects.filter(
            Q(state=State.OPEN, review_class__in=allowed)
            | Q(state=State.ESCALATED, review_class__in=escalated)
        )
        .filter(~Exists(decided))
        .annotate(
            first=Case(
                When(review_class=ReviewClass.CHILD_SAFETY, then=0),
                When(kind=ReviewItem.Kind.SCAN, then=1),
                default=2,
                output_field=models.IntegerField(),
            ),
            claimed_by=live.values("person__email")[:1],
            reported=Count("reports"),
        )
        .order_by("first", "opened_at", "pk")
    )


def find(item_id: int, person: User) -> ReviewItem:
    """An item that the person may see. Raises `ApiError` not_found for any other, whether or not it is there."""
    allowed = permissions(person)
    item = ReviewItem.objects.filter(pk=item_id, review_class__in=allowed).first()
    if item is None:
        raise ApiError("not_found", "There is no such item, or it is of a class that you do not review.")
    return item


def claim(item_id: int, person: User) -> ReviewClaim:
    """Take an item for `claim_minutes`; what the person had before is given back.

    Raises `ApiError`: not_found, already_decided, not_ready (somebody else has it), exposure_limit_reached.
    """
    with transaction.atomic():
        item = _locked(item_id, person)
        seen = exposed(person)
        if seen.over:
            raise ApiError("exposure_limit_reached", seen.over)
        _end_lapsed(item)
        held = ReviewClaim.objects.filter(item=item, ended_at=None).select_related("person").first()
        if held is not None and held.person_id != person.pk:
            raise ApiError("not_ready", f"{held.person.email} looks at this item until their claim ends.")
        if held is not None:
            return held
        _end_claims(ReviewClaim.objects.filter(person=person, ended_at=None), ReviewClaim.End.RELEASED)
        lease = Now() + timedelta(minutes=seen.limits.claim_minutes)
        made = ReviewClaim.objects.create(item=item, person=person, lease_expires_at=lease)
        made.refresh_from_db()
        return made


def release(item_id: int, person: User) -> None:
    """Give an item back undecided."""
    mine = ReviewClaim.objects.filter(item_id=item_id, person=person, ended_at=None)
    _end_claims(mine, ReviewClaim.End.RELEASED)


def reveal(item_id: int, person: User) -> Exposure:
    """Ask for the clear frames: counted, for `reveal_seconds`.

    Raises `ApiError`: not_ready without a claim, insufficient_scope where the class shows none, exposure_limit_reached.
    """
    with transaction.atomic():
        item = _locked(item_id, person)
        _own_claim(item, person)
        if not ReviewPolicy.objects.filter(pk=item.review_class, reveal=True).exists():
            raise ApiError("insufficient_scope", "Frames of this class are never shown clear.")
        seen = exposed(person)
        if seen.reveals >= seen.limits.reveals_per_day:
            most = seen.limits.reveals_per_day
            message = (
                f"You have seen {most} items clear today; the most for a day. Decide blurred, or leave it."
            )
            raise ApiError("exposure_limit_reached", message)
        until = Now() + timedelta(seconds=seen.limits.reveal_seconds)
        made = Exposure.objects.create(item=item, person=person, until=until)
        made.refresh_from_db()
        return made


def may_see_clear(item: ReviewItem, person: User) -> bool:
    """Whether a clear frame may be sent now: revealed by this person, not over, the claim still theirs."""
    shows = ReviewPolicy.objects.filter(pk=item.review_class, reveal=True)
    running = Exposure.objects.filter(item=item, person=person, until__gt=Now())
    return (
        shows.exists()
        and running.exists()
        and ReviewClaim.objects.filter(LIVE, item=item, person=person).exists()
    )


def exposed(person: User) -> Exposed:
    """What the person had today: clear looks, and minutes with an item claimed."""
    today = Now(), "day"
    reveals = Exposure.objects.filter(person=person, at__gte=models.functions.Trunc(*today)).count()
    span = ExpressionWrapper(
        Least(Coalesce(F("ended_at"), Now()), F("lease_expires_at")) - F("at"),
        output_field=models.DurationField(),
    )
    turns = ReviewClaim.objects.filter(person=person, at__gte=models.functions.Trunc(*today))
    spent = turns.aggregate(sum=Sum(span))["sum"] or timedelta()
    return Exposed(reveals, spent.total_seconds() / 60, ReviewLimits.objects.get(pk=1))


def decide(item_id: int, person: User, verdict: str, reason: str) -> ReviewItem:
    """Store a decision and, where it is the last that the item takes, its end. Inside the caller's transaction.

    Two people who disagree escalate; on an escalated item one decision of somebody who may is the end. Raises
    `ApiError`: missing_required_parameter, invalid_value, not_ready without a live claim, already_decided.
    """
    if not reason.strip():
        raise ApiError("missing_required_parameter", "Say why: a reason is kept with it.", param="reason")
    if verdict not in Verdict.values:
        raise ApiError("invalid_value", "Decide pass, block or escalate.", param="verdict")
    item = _locked(item_id, person)
    _own_claim(item, person)
    if item.state == State.ESCALATED and verdict == Verdict.ESCALATE:
        raise ApiError("invalid_value", "It is escalated already: decide pass or block.", param="verdict")
    made = ReviewDecision.objects.create(item=item, person=person, verdict=verdict, reason=reason.strip())
    _end_claims(ReviewClaim.objects.filter(item=item, ended_at=None), ReviewClaim.End.DECIDED)
    before = item.state
    _close(item, outcome(item.state, item.people, _verdicts(item)))
    audit.record(
        actor=person,
        action=f"review.{verdict}",
        target=f"review:{item.pk}",
        reason=made.reason,
        before={"state": before},
        after={"state": item.state, "class": item.review_class, "sha256": item.digest},
    )
    return item


def outcome(state: str, people: int, verdicts: list[str]) -> str:
    """The state that decisions lead to, oldest first: pure, and the same rule that the database checks."""
    if state == State.ESCALATED:
        return State.PASSED if verdicts[-1] == Verdict.PASS else State.REFUSED
    if Verdict.ESCALATE in verdicts or len(set(verdicts)) > 1:
        return State.ESCALATED
    if len(verdicts) < people:
        return State.OPEN
    return State.PASSED if verdicts[-1] == Verdict.PASS else State.REFUSED


def close(item: ReviewItem, state: str, *, confirmed: bool = False) -> None:
    """End an item that nobody decided: returned or expired. Its row is locked by the caller.

    `confirmed` says that its reports were right all the same, since the clip was withdrawn meanwhile.
    """
    _end_claims(ReviewClaim.objects.filter(item=item, ended_at=None), ReviewClaim.End.EXPIRED)
    _close(item, state, confirmed=confirmed)


def waiting(subject: str) -> ReviewItem | None:
    """The item of a subject that waits, under its lock: taken before wallets and jobs."""
    rows = ReviewItem.objects.select_for_update()
    return rows.filter(subject=subject, state__in=ReviewItem.WAITING).first()


def _close(item: ReviewItem, state: str, *, confirmed: bool = False) -> None:
    if state == item.state:
        return
    ended = state not in ReviewItem.WAITING
    ReviewItem.objects.filter(pk=item.pk).update(state=state, **({"closed_at": Now()} if ended else {}))
    item.refresh_from_db()
    if not ended:
        return
    right = confirmed or state == State.REFUSED
    told = UserReport.State.CONFIRMED if right else UserReport.State.DISMISSED
    UserReport.objects.filter(item=item, state=UserReport.State.OPEN).update(state=told, closed_at=Now())
    if state == State.PASSED and item.kind == ReviewItem.Kind.SCAN:
        Clearance.objects.create(
            item=item, scan_id=item.scan_id, subject=item.subject, fence=item.fence, digest=item.digest
        )


def _verdicts(item: ReviewItem) -> list[str]:
    return list(item.decisions.order_by("pk").values_list("verdict", flat=True))


def _locked(item_id: int, person: User) -> ReviewItem:
    """The item under its lock, where this person may decide it now."""
    allowed = permissions(person)
    item = ReviewItem.objects.select_for_update().filter(pk=item_id, review_class__in=allowed).first()
    if item is None:
        raise ApiError("not_found", "There is no such item, or it is of a class that you do not review.")
    if item.state not in ReviewItem.WAITING:
        raise ApiError("already_decided", f"This item has ended: {item.get_state_display().lower()}.")
    if item.state == State.ESCALATED and not allowed[item.review_class]:
        raise ApiError("insufficient_scope", "This item was escalated: it takes somebody who decides those.")
    if ReviewDecision.objects.filter(item=item, person=person).exists():
        raise ApiError("already_decided", "You decided on this item already: it takes a second person now.")
    return item


def _own_claim(item: ReviewItem, person: User) -> None:
    if not ReviewClaim.objects.filter(LIVE, item=item, person=person).exists():
        raise ApiError("not_ready", "Your claim on this item has ended. Claim it again; nothing was decided.")


def _end_lapsed(item: ReviewItem) -> None:
    lapsed = ReviewClaim.objects.filter(item=item, ended_at=None, lease_expires_at__lte=Now())
    _end_claims(lapsed, ReviewClaim.End.EXPIRED)


def _end_claims(claims: QuerySet[ReviewClaim], end: str) -> None:
    claims.update(ended_at=Least(Now(), F("lease_expires_at")), end=end)
